package testenv_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keystone-gateway/internal/daemon"
	"keystone-gateway/testenv"
)

func TestTheGitServerMayGoAndComeBack(t *testing.T) {
	for name, options := range map[string][]testenv.Option{
		"git http-backend": nil,
		"git daemon":       {testenv.GitDaemon()},
	} {
		t.Run(name, func(t *testing.T) {
			world := testenv.New(t, append(options, shop("one"))...)
			world.Git.Stop()
			world.WaitEvent("source failing")
			failures := func() float64 { return world.Metrics()[`keystone_source_sync_total{result="error"}`] }
			seen := failures()
			testenv.Until(t, "three more polls in vain", func() bool { return failures() >= seen+3 })
			if got := len(world.Log.Find(0, "source failing")); got != 1 {
				t.Errorf("source failing was logged %d times, want once: on the transition", got)
			}
			wantBody(t, world.Gateway, "shop", "one")
			if status, _ := world.Ready(""); status != http.StatusOK {
				t.Errorf("/readyz without a git server: got %d, want 200", status)
			}

			second := world.Commit(map[string]string{fileOf("shop"): answering("shop", "two")})
			world.Git.Start()
			world.WaitEvent("source recovered")
			world.WaitRevision(second)
			wantBody(t, world.Gateway, "shop", "two")
		})
	}
}

func TestAGitServerThatHangsStopsNobody(t *testing.T) {
	for name, options := range map[string][]testenv.Option{
		"git http-backend": nil,
		"git daemon":       {testenv.GitDaemon()},
	} {
		t.Run(name, func(t *testing.T) {
			world := testenv.New(t, append(options, shop("one"),
				testenv.With(func(s *daemon.Settings) { s.Source.Git.Timeout = time.Second }))...)
			release := world.Git.Hang()
			second := world.Commit(map[string]string{fileOf("shop"): answering("shop", "two")})
			world.WaitEvent("source failing") // given up at source.git.timeout
			wantBody(t, world.Gateway, "shop", "one")
			if got := world.Health().Status; got != "healthy" {
				t.Errorf("health: got %q, want healthy", got)
			}
			release()
			world.WaitEvent("source recovered")
			world.WaitRevision(second)
			wantBody(t, world.Gateway, "shop", "two")
		})
	}
}

func TestADeletedBranchTakesNothingAway(t *testing.T) {
	world := testenv.New(t, shop("one"))
	world.DeleteBranch()
	world.WaitEvent("source failing", "err", testenv.Holding("main"))
	wantBody(t, world.Gateway, "shop", "one")
	second := world.Commit(map[string]string{fileOf("shop"): answering("shop", "two")})
	world.WaitEvent("source recovered")
	world.WaitRevision(second)
	wantBody(t, world.Gateway, "shop", "two")
}

func TestALocalRepositoryIsFollowed(t *testing.T) {
	for name, pathOf := range map[string]func(*testenv.Git) string{
		"with a work tree": (*testenv.Git).WorkTree,
		"bare":             (*testenv.Git).Origin,
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			git := testenv.NewGit(t, false)
			first := git.Commit(map[string]string{fileOf("shop"): answering("shop", "one")})
			git.Write(map[string]string{fileOf("shop"): answering("shop", "not committed")})
			settings := testenv.Settings(t)
			settings.Source.Dir, settings.Source.Git.URL = "", pathOf(git)
			gateway := testenv.NewGateway(t, settings)
			gateway.WaitRevision(first)
			wantBody(t, gateway, "shop", "one")
			gateway.WaitRevision(git.Commit(map[string]string{fileOf("shop"): answering("shop", "two")}))
			wantBody(t, gateway, "shop", "two")
		})
	}
}

func TestADirectoryIsFollowed(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	dir := t.TempDir()
	testenv.WriteFiles(t, dir, map[string]string{
		fileOf("shop"): answering("shop", "shop one"),
		fileOf("blog"): answering("blog", "blog one"),
	})
	settings := testenv.Settings(t)
	settings.Source.Dir = dir
	gateway := testenv.NewGateway(t, settings)
	first := gateway.WaitEvent("reload applied", "generation", 1, "revision", testenv.Holding("sha256:"))
	gateway.WaitRevision(first.Text("revision"))
	wantBody(t, gateway, "shop", "shop one")

	testenv.WriteFiles(t, dir, map[string]string{fileOf("shop"): answering("shop", "shop two")})
	gateway.WaitEvent("reload applied", "generation", 2, "trigger", "fsnotify")
	wantBody(t, gateway, "shop", "shop two")

	testenv.WriteFiles(t, dir, map[string]string{
		fileOf("shop"): "tenants: [\n",
		fileOf("news"): answering("news", "news one"),
	})
	gateway.WaitEvent("tenant kept", "tenant", "shop", "err", testenv.Holding("shop.yaml:"))
	wantBody(t, gateway, "shop", "shop two")

	// A root that vanishes is a fault, not an order.
	away := dir + ".away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	gateway.Daemon.Reload("signal")
	gateway.WaitEvent("source failing")
	wantBody(t, gateway, "shop", "shop two")
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	gateway.Daemon.Reload("signal")
	gateway.WaitEvent("source recovered")
}

func TestTenantsInTheSettingsFileGoLiveWhenItIsEdited(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	dir := t.TempDir()
	file := func(tenants string) map[string]string {
		return map[string]string{"gateway.yaml": "server: {listen: \"127.0.0.1:0\"}\n" + tenants + "log: {level: info}\n"}
	}
	testenv.WriteFiles(t, dir, file(answering("shop", "one")))
	settings := testenv.Settings(t)
	settings.File, settings.Inline = filepath.Join(dir, "gateway.yaml"), true
	settings.Source.Dir = ""
	gateway := testenv.NewGateway(t, settings)
	gateway.WaitEvent("reload applied", "generation", 1)
	wantBody(t, gateway, "shop", "one")

	testenv.WriteFiles(t, dir, file(answering("shop", "two")))
	gateway.WaitEvent("reload applied", "generation", 2)
	wantBody(t, gateway, "shop", "two")

	testenv.WriteFiles(t, dir, file(answering("shop", "three", "colour: blue")))
	gateway.WaitEvent("reload rejected", "diagnostics", testenv.Holding("gateway.yaml:5:5: error: "))
	wantBody(t, gateway, "shop", "two")
}

func TestThreeGatewaysOnOneRepositoryConverge(t *testing.T) {
	world := testenv.New(t, shop("one"))
	settings := testenv.Settings(t)
	settings.Source.Dir, settings.Source.Git = "", daemon.Defaults().Source.Git
	settings.Source.Git.URL, settings.Source.Git.PollInterval = world.URL(), 50*time.Millisecond
	fleet := []*testenv.Gateway{world.Gateway}
	for range 2 {
		settings.StateDir = t.TempDir()
		fleet = append(fleet, testenv.NewGateway(t, settings))
	}
	last := ""
	for _, body := range []string{"two", "three", "four"} {
		last = world.Commit(map[string]string{fileOf("shop"): answering("shop", body)})
	}
	for _, gateway := range fleet {
		gateway.WaitRevision(last)
		wantBody(t, gateway, "shop", "four")
		if got := gateway.Metrics()[`keystone_config_info{revision="`+last+`"}`]; got != 1 {
			t.Errorf("%s: keystone_config_info of %s: got %v, want 1", gateway, last, got)
		}
	}
}
