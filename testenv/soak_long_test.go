//go:build soak

package testenv_test

// How many revisions the soak tests make.
const (
	rejectedRevisions = 1000
	appliedRevisions  = 1000
)
