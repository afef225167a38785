package testenv_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fileOf is where a tenant stands in the trees of these tests.
func fileOf(tenant string) string { return "configs/tenants/" + tenant + ".yaml" }

// hostOf is the domain of a tenant in the trees of these tests.
func hostOf(tenant string) string { return tenant + ".test" }

// answering is a tenant that answers everything with body. Each more is a line
// of its definition.
func answering(tenant, body string, more ...string) string {
	return define(tenant, append(more, fmt.Sprintf("routes: [{match: {path: /*}, respond: {status: 200, body: %q}}]", body))...)
}

// forwarding is a tenant that sends everything to url.
func forwarding(tenant, url string, more ...string) string {
	return define(tenant, append(more, fmt.Sprintf("services: [{name: a, url: %q}]", url))...)
}

// scripted is a tenant that the script scripts/<tenant>/main.lua answers.
func scripted(tenant string, more ...string) string {
	return define(tenant, append(more, "lua_routes: "+tenant+"/main")...)
}

func scriptOf(tenant string) string { return "scripts/" + tenant + "/main.lua" }

func define(tenant string, lines ...string) string {
	return fmt.Sprintf("tenants:\n  - name: %s\n    domains: [%s]\n    %s\n", tenant, hostOf(tenant), strings.Join(lines, "\n    "))
}
