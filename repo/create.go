package repo

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Create makes a git repository in dir, which must not hold one yet, writes
// files into its work tree and commits them to the branch main. It is for
// people to go on working in with git; nothing else here writes a work tree.
func Create(dir string, files map[string][]byte, author, mail, subject string) (commit string, err error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", err
	}
	r, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{
		InitOptions: git.InitOptions{DefaultBranch: plumbing.NewBranchReferenceName("main")},
	})
	if err != nil {
		return "", fmt.Errorf("create repository %s: %w", dir, err)
	}
	cfg, err := r.Config()
	if err != nil {
		return "", err
	}
	cfg.User.Name, cfg.User.Email = author, mail
	if err := r.SetConfig(cfg); err != nil {
		return "", fmt.Errorf("create repository %s: %w", dir, err)
	}
	tree, err := r.Worktree()
	if err != nil {
		return "", err
	}
	for name, data := range files {
		if !fs.ValidPath(name) {
			return "", fmt.Errorf("create repository %s: %q is no path", dir, name)
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return "", err
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return "", err
		}
		if _, err := tree.Add(name); err != nil {
			return "", fmt.Errorf("add %s: %w", name, err)
		}
	}
	hash, err := tree.Commit(subject, &git.CommitOptions{
		Author: &object.Signature{Name: author, Email: mail, When: time.Now()},
	})
	if err != nil {
		return "", fmt.Errorf("commit to %s: %w", dir, err)
	}
	return hash.String(), nil
}
