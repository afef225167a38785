package repo_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keystone-gateway/repo"
)

// A directory is fetched, left alone, and changed.
func ExampleOpenDir() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	write := func(content string) {
		if err := os.WriteFile(filepath.Join(dir, "shop.yaml"), []byte(content), 0o600); err != nil {
			panic(err)
		}
	}
	write("tenants: []")

	source, err := repo.OpenDir(repo.DirOptions{
		Mounts: []repo.Mount{{At: "configs/tenants", Path: dir, Ext: []string{".yaml"}, Required: true}},
	})
	if err != nil {
		panic(err)
	}
	fetch := func() *repo.Snapshot {
		snapshot, err := source.Fetch(context.Background())
		if err != nil {
			panic(err)
		}
		return snapshot
	}
	first := fetch()
	fmt.Println(first.Revision.ID)
	fmt.Println("unchanged:", fetch() == first)

	write("tenants: [] # none yet")
	content, err := fs.ReadFile(fetch().FS, "configs/tenants/shop.yaml")
	fmt.Println(string(content), err)
	// Output:
	// sha256:e766a4cfd7bf
	// unchanged: true
	// tenants: [] # none yet <nil>
}
