package daemon

import (
	"log/slog"
	"path/filepath"

	"keystone-gateway/repo"
)

// inlineScripts is where scripts lie in the tree when the tenants stand in the
// settings file.
const inlineScripts = "scripts"

// inlineFile is where the settings file itself then lies: where it was named, so
// that diagnostics name it likewise, if that is a place in a tree.
func (s Settings) inlineFile() string {
	if filepath.IsLocal(s.File) {
		return filepath.ToSlash(filepath.Clean(s.File))
	}
	return filepath.Base(s.File)
}

// openSource opens the source that s names. What it refuses is a setting: trouble
// with the source itself shows when it is read.
func openSource(s Settings, log *slog.Logger) (repo.Source, error) {
	if s.Source.Git.URL != "" {
		g, err := openGit(s, log)
		if err != nil {
			return nil, &settingError{key: "source.git", err: err}
		}
		return g, nil
	}
	d, err := openDir(s, log)
	if err != nil {
		return nil, &settingError{key: "source.dir", err: err}
	}
	return d, nil
}

func openGit(s Settings, log *slog.Logger) (*repo.Git, error) {
	git := s.Source.Git
	return repo.OpenGit(repo.GitOptions{
		URL: git.URL, Branch: git.Branch, Path: git.Path,
		PollInterval: git.PollInterval, Timeout: git.Timeout, MaxSize: int64(git.MaxSize), StateDir: s.StateDir,
		Roots:  []repo.Root{{Dir: s.Source.Tenants, Ext: tenantFiles()}, {Dir: s.Source.Scripts, Ext: scriptFiles()}},
		Limits: s.sourceLimits(), Log: log,
	})
}

func openDir(s Settings, log *slog.Logger) (*repo.Dir, error) {
	inDir := func(name string) string { return filepath.Join(s.Source.Dir, filepath.FromSlash(name)) }
	mounts := []repo.Mount{
		{At: s.Source.Tenants, Path: inDir(s.Source.Tenants), Ext: tenantFiles(), Required: true},
		{At: s.Source.Scripts, Path: inDir(s.Source.Scripts), Ext: scriptFiles()},
	}
	name := s.Source.Dir
	if s.Inline {
		mounts = []repo.Mount{
			{At: s.inlineFile(), Path: s.File, Required: true},
			{At: inlineScripts, Path: s.Source.Scripts, Ext: scriptFiles()},
		}
		name = s.File
	}
	return repo.OpenDir(repo.DirOptions{Name: name, Mounts: mounts, Debounce: s.Reload.Debounce, Limits: s.sourceLimits(), Log: log})
}

func tenantFiles() []string { return []string{".yaml", ".yml"} }
func scriptFiles() []string { return []string{".lua"} }

func (s Settings) sourceLimits() repo.Limits {
	l := s.Source.Limits
	return repo.Limits{Files: l.Files, FileSize: int64(l.FileSize), TotalSize: int64(l.TotalSize), Depth: l.Depth}
}
