//go:build !soak

package testenv_test

// How many revisions the soak tests make. The tag soak has many more.
const (
	rejectedRevisions = 100
	appliedRevisions  = 30
)
