package repo

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// address is where a git repository is.
type address struct {
	scheme string   // "http", "https", "git", or "" for a local path
	url    *url.URL // without userinfo; nil for a local path
	user   *url.Userinfo
	path   string // the local path
}

// parseAddress reads a repository URL. Nothing it accepts makes any program
// run, and a host or user that begins with "-", which other tools would take
// for an option, is refused all the same. Errors show no credentials.
func parseAddress(raw string) (address, error) {
	switch {
	case raw == "":
		return address{}, errors.New("no repository URL")
	case strings.HasPrefix(raw, "-"):
		return address{}, errors.New(`a repository URL must not begin with "-"`)
	case strings.ContainsFunc(raw, unicode.IsControl):
		return address{}, errors.New("the repository URL holds a control character")
	}
	scheme, _, isURL := strings.Cut(raw, "://")
	if !isURL {
		return parseLocal(raw)
	}
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https", "git":
	case "ssh", "git+ssh", "ssh+git":
		return address{}, errors.New("ssh:// and git@host:path are not supported in this version")
	case "file":
		return address{}, errors.New("file:// is not supported: write the path alone")
	default:
		return address{}, fmt.Errorf("scheme %q is not supported: use http, https, git, or a local path", scheme)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// url.Error repeats the whole URL, credentials included.
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		if strings.Contains(raw, "@") {
			err = errors.New("it cannot be parsed")
		}
		return address{}, fmt.Errorf("malformed repository URL: %w", err)
	}
	a := address{scheme: scheme, user: u.User}
	u.User = nil
	a.url = u
	switch {
	case u.Hostname() == "":
		return address{}, errors.New("the repository URL has no host")
	case strings.HasPrefix(u.Host, "-") || strings.HasPrefix(a.user.Username(), "-"):
		return address{}, errors.New(`host and user of a repository URL must not begin with "-"`)
	case u.RawQuery != "" || u.Fragment != "":
		return address{}, errors.New("a repository URL has neither query nor fragment")
	case scheme == "git" && a.user != nil:
		return address{}, errors.New("git:// knows no credentials: use https")
	case strings.Trim(u.Path, "/") == "":
		return address{}, errors.New("the repository URL has no path")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	return a, nil
}

// parseLocal reads what has no scheme: a path, or one of the forms that git
// would take for another machine or another program.
func parseLocal(raw string) (address, error) {
	first, _, _ := strings.Cut(raw, "/")
	switch {
	case strings.Contains(first, "::"):
		return address{}, errors.New("remote helpers (NAME::ADDRESS) are not supported")
	case strings.Contains(first, ":"):
		return address{}, errors.New("ssh:// and git@host:path are not supported in this version " +
			`(for a local path that holds ":", put "./" before it)`)
	}
	return address{path: raw}, nil
}

// local says whether the repository is a directory of this machine.
func (a address) local() bool { return a.scheme == "" }

// String shows the address without its credentials.
func (a address) String() string {
	if a.local() {
		return a.path
	}
	shown := a.url.String()
	if a.user != nil {
		shown = strings.Replace(shown, "://", "://***@", 1)
	}
	return shown
}

// checkBranch says what is wrong with a branch name, after the rules of
// git-check-ref-format(1).
func checkBranch(name string) error {
	bad := name == "" || name == "@" || strings.HasPrefix(name, "-") ||
		strings.HasSuffix(name, "/") || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsAny(name, " ~^:?*[\\") || strings.ContainsFunc(name, unicode.IsControl)
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock")
	}
	if bad {
		return fmt.Errorf("%q cannot be the name of a branch", name)
	}
	return nil
}
