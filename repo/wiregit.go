package repo

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
)

// defaultGitPort is the port of git://.
const defaultGitPort = "9418"

// gitWire speaks git://, the protocol of git-daemon(1), over a TCP connection
// for each conversation.
type gitWire struct {
	url  *url.URL
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func newGitWire(u *url.URL) *gitWire {
	return &gitWire{url: u, dial: new(net.Dialer).DialContext}
}

func (w *gitWire) close() {}

func (w *gitWire) talk(ctx context.Context, bytes *allowance) (conversation, error) {
	port := w.url.Port()
	if port == "" {
		port = defaultGitPort
	}
	conn, err := w.dial(ctx, "tcp", net.JoinHostPort(w.url.Hostname(), port))
	if err != nil {
		return nil, err
	}
	c := &gitTalk{conn: conn, in: bytes.of(conn)}
	// The deadline in the past ends any read or write that hangs.
	c.release = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	request := packp.GitProtoRequest{RequestCommand: uploadPack, Pathname: w.url.Path, Host: w.url.Host}
	if err := request.Encode(conn); err != nil {
		c.close()
		return nil, fmt.Errorf("send request: %w", err)
	}
	if c.advertised, err = readRefs(c.in); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// gitTalk is a conversation over one connection.
type gitTalk struct {
	conn       net.Conn
	in         io.Reader
	advertised *packp.AdvRefs
	asked      bool
	release    func() bool
}

func (c *gitTalk) refs() *packp.AdvRefs { return c.advertised }

func (c *gitTalk) send(_ context.Context, request []byte) (io.Reader, error) {
	c.asked = true
	if _, err := c.conn.Write(request); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	return c.in, nil
}

// close ends the conversation; a server that was asked for nothing is told so,
// for else it would log a client that hung up.
func (c *gitTalk) close() {
	if !c.asked {
		_, _ = c.conn.Write(pktline.FlushPkt)
	}
	c.release()
	_ = c.conn.Close()
}
