package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"keystone-gateway": main,
		"http":             httpMain,
	})
}

// TestScripts runs the program as people do: every script of testdata/script,
// with these commands besides testscript's own.
//
//	exits CODE PROGRAM [ARG]…   runs a program that is to end with this code
//	exec http [FLAG]… URL       asks a URL; see httpMain
//
// $GATEWAY, $ADMIN and $OTHER are addresses that nobody listens on, $ROOT is
// the top of the source tree, and git is nobody's own.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"GATEWAY", "ADMIN", "OTHER"} {
				addr, err := unusedAddress(t.Context())
				if err != nil {
					return err
				}
				e.Setenv(name, addr)
			}
			e.Setenv("ROOT", root)
			for _, entry := range []string{"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"} {
				e.Setenv(entry, os.DevNull)
			}
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				e.Setenv("GIT_"+who+"_NAME", "Ada")
				e.Setenv("GIT_"+who+"_EMAIL", "ada@example.com")
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// exits runs a program and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG]…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code: got %d, want %d", got, want)
	}
}

func unusedAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// httpMain is the program http: it asks a URL, prints the answer's body, and
// ends with 1 unless the status and the body are as wanted. It asks again until
// they are, or until far more time is over than that can take.
func httpMain() {
	if err := askURL(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "http:", err)
		os.Exit(1)
	}
}

func askURL(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	method := flags.String("method", http.MethodGet, "`METHOD` of the request")
	host := flags.String("host", "", "`HOST` to ask for (default: the URL's)")
	tokenFile := flags.String("token", "", "`FILE` with a bearer token")
	status := flags.Int("status", http.StatusOK, "wanted `STATUS`")
	body := flags.String("body", "", "regular `EXPRESSION` that the body is to match")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile("(?m)" + *body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("nothing")
	for {
		request, err := http.NewRequestWithContext(ctx, *method, flags.Arg(0), nil)
		if err != nil {
			return err
		}
		request.Host = *host
		if *tokenFile != "" {
			token, err := os.ReadFile(*tokenFile)
			if err != nil {
				return err
			}
			request.Header.Set("Authorization", "Bearer "+string(regexp.MustCompile(`\s+$`).ReplaceAll(token, nil)))
		}
		gotStatus, got, err := roundTrip(request)
		if err == nil && gotStatus == *status && wanted.Match(got) {
			_, err = out.Write(got)
			return err
		}
		if err == nil {
			err = fmt.Errorf("status %d, body %q", gotStatus, got)
		}
		select {
		case <-tick.C:
			last = err
		case <-ctx.Done():
			return fmt.Errorf("%s of %q: got %w; want status %d and a body that matches %q", flags.Arg(0), *host, last, *status, *body)
		}
	}
}

func roundTrip(request *http.Request) (status int, body []byte, err error) {
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}
