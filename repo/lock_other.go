//go:build !unix

package repo

import "os"

// lockFile makes name; on this system nothing keeps another process away.
func lockFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
}
