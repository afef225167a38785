// Package testenv is a small internet in a test: a real git repository behind a
// real git server, servers that answer what they were asked, and a gateway that
// follows the one and forwards to the other, all on loopback.
//
//	world := testenv.New(t, testenv.Files(files))
//	bad := world.Commit(map[string]string{"configs/tenants/shop.yaml": "tenants: oops"})
//	world.WaitEvent("reload rejected", "revision", bad)
//	world.Get("shop.test", "/")
//
// A world waits for what happens and never for time to pass: verbs that begin
// with Wait return when the gateway's own log says so, and fail the test when
// nothing comes within [Patience]. The parts can be had alone: [NewGit],
// [NewUpstream], [NewGateway].
//
// A gateway runs inside the test, by way of internal/daemon, or with [Binary] as
// the built program in a process of its own, where signals and exit codes count.
//
// The scenarios in this package's tests show what the program is for, one a
// test. Nothing outside tests may import it.
package testenv
