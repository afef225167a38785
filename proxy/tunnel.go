package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// tunnel is a client's and a server's connection joined after an upgrade. It
// knows nothing of what passes through: to end it, both are closed at TCP.
type tunnel struct {
	client net.Conn
	server io.ReadWriteCloser
	once   sync.Once
}

// close may be called from any goroutine, and more than once.
func (t *tunnel) close() {
	t.once.Do(func() {
		_ = t.client.Close()
		_ = t.server.Close()
	})
}

var errUnaskedUpgrade = errors.New("upstream switched to a protocol that was not asked for")

// switchProtocols joins client and server after a 101 response, until either
// side closes or the exchange is cut.
func (x *Exchange) switchProtocols(resp *http.Response) {
	server, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !x.websocket || !hasToken(resp.Header["Upgrade"], "websocket") {
		x.problem(http.StatusBadGateway, errUnaskedUpgrade)
		return
	}
	client, buffered, err := http.NewResponseController(x.writer.base).Hijack()
	if err != nil {
		x.problem(http.StatusInternalServerError, err)
		return
	}
	x.writer.hijacked, x.writer.status = true, http.StatusSwitchingProtocols
	t := &tunnel{client: client, server: server}
	defer t.close()
	x.tenant.dig(x, t)

	removeHopByHop(resp.Header)
	resp.Header["Connection"] = []string{"Upgrade"}
	resp.Header["Upgrade"] = []string{"websocket"}
	resp.Header["X-Request-Id"] = []string{x.id}
	delete(resp.Header, "Content-Length")
	if err := client.SetDeadline(time.Now().Add(max(x.writer.idle, time.Second))); err != nil {
		x.err = err
		return
	}
	if err := errors.Join(writeSwitch(buffered, resp.Header), buffered.Flush(), client.SetDeadline(time.Time{})); err != nil {
		x.err = err
		return
	}
	x.err = t.join(buffered.Reader, &x.writer.bytes)
}

// writeSwitch writes a 101's head. http.Response.Write would add "Connection:
// close", as to any response that has neither length nor chunks.
func writeSwitch(w io.Writer, h http.Header) error {
	_, err := io.WriteString(w, "HTTP/1.1 101 Switching Protocols\r\n")
	if err == nil {
		err = h.Write(w)
	}
	if err == nil {
		_, err = io.WriteString(w, "\r\n")
	}
	return err
}

// join copies both ways until one side ends; then it closes both, and waits
// for the other way. received is what came from the server.
func (t *tunnel) join(early *bufio.Reader, received *int64) error {
	var toServer error
	var up sync.WaitGroup
	up.Go(func() {
		defer t.close()
		// What the client sent with its request is in the reader already.
		if n := early.Buffered(); n > 0 {
			if _, toServer = io.CopyN(t.server, early, int64(n)); toServer != nil {
				return
			}
		}
		_, toServer = io.Copy(t.server, t.client)
	})
	n, toClient := io.Copy(t.client, t.server)
	*received = n
	t.close()
	up.Wait()
	for _, err := range []error{toServer, toClient} {
		if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
			return err
		}
	}
	return nil
}
