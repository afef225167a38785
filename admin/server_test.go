package admin_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"keystone-gateway/reloader"
)

func listen(t *testing.T, addr string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestServeFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	r := &asker{reload: func(context.Context) (*reloader.Attempt, error) {
		close(entered)
		<-leave
		return &reloader.Attempt{Result: reloader.Applied}, nil
	}}
	l := listen(t, "127.0.0.1:0")
	o := options(&server{}, r)
	o.Listen = l.Addr().String()
	a := open(t, o)
	served := make(chan error, 1)
	go func() { served <- a.Serve(l) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan int, 1)
	go func() {
		answered <- func() int {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+o.Listen+"/admin/reload", nil)
			if err != nil {
				t.Error(err)
				return 0
			}
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return 0
			}
			defer func() { _ = response.Body.Close() }()
			if _, err := io.Copy(io.Discard, response.Body); err != nil {
				t.Error(err)
			}
			return response.StatusCode
		}()
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- a.Shutdown(t.Context()) }()
	if err := <-served; err != nil {
		t.Errorf("Serve = %v, want nil after Shutdown", err)
	}
	close(leave)
	if got := <-answered; got != http.StatusOK {
		t.Errorf("the request under way got %d", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if err := a.Shutdown(t.Context()); err != nil {
		t.Errorf("the second Shutdown = %v", err)
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	r := &asker{reload: func(ctx context.Context) (*reloader.Attempt, error) {
		close(entered)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	l := listen(t, "127.0.0.1:0")
	o := options(&server{}, r)
	o.Listen = l.Addr().String()
	a := open(t, o)
	served := make(chan error, 1)
	go func() { served <- a.Serve(l) }()

	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", o.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, "POST /admin/reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.Shutdown(ctx); err == nil {
		t.Error("Shutdown = nil, want an error for what it cut")
	}
	if err := <-served; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := io.ReadAll(connection); err != nil {
		t.Logf("the connection ended with %v", err)
	}
}

// The address that was really taken counts, whatever Options.Listen said.
func TestServeRefusesAnOpenListenerWithoutToken(t *testing.T) {
	t.Parallel()
	l := listen(t, "0.0.0.0:0")
	o := options(&server{}, &asker{})
	o.Token = nil
	if err := open(t, o).Serve(l); err == nil {
		t.Error("Serve = nil, want an error")
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}
