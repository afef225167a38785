package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// uploadPack is the one git service that is ever asked for.
const uploadPack = "git-upload-pack"

// maxAdvertisement bounds the list of refs, which is held in memory: room for
// half a million.
const maxAdvertisement = 64 << 20

// wire speaks git's pack protocol, version 0, to one server. There is one wire
// a source, so that nothing is shared between sources: go-git's own registry of
// protocols is the process's.
type wire interface {
	// talk opens a conversation and reads the refs. Everything that the
	// conversation reads counts against bytes and ends with ctx.
	talk(ctx context.Context, bytes *allowance) (conversation, error)
	// close drops idle connections.
	close()
}

// conversation is one exchange: the refs, and at most one pack after them.
type conversation interface {
	refs() *packp.AdvRefs
	// send sends the request for a pack and returns the answer to it.
	send(ctx context.Context, request []byte) (io.Reader, error)
	close()
}

// readRefs decodes a ref advertisement.
func readRefs(r io.Reader) (*packp.AdvRefs, error) {
	refs := packp.NewAdvRefs()
	err := refs.Decode(newAllowance(maxAdvertisement, "the list of refs is too large").of(r))
	switch {
	case errors.Is(err, packp.ErrEmptyAdvRefs):
		return refs, nil
	case errors.Is(err, packp.ErrEmptyInput):
		return nil, faultf(ReasonUnreachable, "the server closed the connection without an answer")
	case err != nil:
		if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
			return nil, faultf(ReasonNotFound, "the server says %q: check the path, and that it may be read", oneLine(line.Text))
		}
		if _, ok := errors.AsType[*packp.ErrUnexpectedData](err); ok || errors.Is(err, pktline.ErrInvalidPktLen) {
			return nil, faultf(ReasonNotGit, "the answer is not that of a git server: is this the address of a repository?")
		}
		return nil, fmt.Errorf("read refs: %w", err)
	}
	return refs, nil
}

// fetchPack asks for want and all of its history that have does not reach, and
// returns the pack.
func fetchPack(ctx context.Context, c conversation, want plumbing.Hash, have []plumbing.Hash) (io.Reader, error) {
	offered := c.refs().Capabilities
	// Thin packs need objects from outside themselves, which an index of ours
	// could not resolve.
	offered.Delete(capability.ThinPack)
	request := packp.NewUploadPackRequestFromCapabilities(offered)
	if offered.Supports(capability.NoProgress) {
		if err := request.Capabilities.Set(capability.NoProgress); err != nil {
			return nil, fmt.Errorf("capabilities: %w", err)
		}
	}
	request.Wants = []plumbing.Hash{want}
	request.Haves = have

	var buf bytes.Buffer
	if err := request.UploadRequest.Encode(&buf); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if err := request.UploadHaves.Encode(&buf, false); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if err := pktline.NewEncoder(&buf).EncodeString("done\n"); err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	r, err := c.send(ctx, buf.Bytes())
	if err != nil {
		return nil, err
	}
	if err := readAcks(r); err != nil {
		return nil, err
	}
	switch {
	case request.Capabilities.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, r), nil
	case request.Capabilities.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, r), nil
	}
	return r, nil
}

// readAcks skips what the server says about the haves. As these went out in
// one batch together with "done", the answer ends with the first NAK or the
// first ACK that announces no further one.
func readAcks(r io.Reader) error {
	lines := pktline.NewScanner(r)
	for lines.Scan() {
		words := strings.Fields(string(lines.Bytes()))
		switch {
		case len(words) == 1 && words[0] == "NAK", len(words) == 2 && words[0] == "ACK":
			return nil
		case len(words) == 3 && words[0] == "ACK": // continue, common, ready
		default:
			return faultf(ReasonNotGit, "unexpected answer %q to the request for a pack", oneLine(string(lines.Bytes())))
		}
	}
	err := lines.Err()
	if line, ok := errors.AsType[*pktline.ErrorLine](err); ok {
		return faultf(ReasonServerError, "the server says %q", oneLine(line.Text))
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read acknowledgements: %w", err)
}

// maxRemark bounds what of a server's own words is repeated.
const maxRemark = 200

// oneLine makes a server's words fit for an error.
func oneLine(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxRemark {
		s = s[:maxRemark] + "..."
	}
	return printable(strings.ToValidUTF8(s, "?"))
}

// allowance is how many bytes may still be read, from one reader or several in
// turn. A nil allowance is without end.
type allowance struct {
	left int64
	what string // "the list of refs is too large"
}

func newAllowance(limit int64, what string) *allowance {
	if limit <= 0 {
		return nil
	}
	return &allowance{left: limit, what: what}
}

// of returns r counted against the allowance. Past it reads fail, where
// io.LimitReader would pretend that the input ended.
func (a *allowance) of(r io.Reader) io.Reader {
	if a == nil {
		return r
	}
	return &countedReader{r: r, allowance: a}
}

type countedReader struct {
	r io.Reader
	*allowance
}

func (c *countedReader) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, faultf(ReasonTooLarge, "%s", c.what)
	}
	// One byte more than allowed tells an end from an overrun.
	n, err := c.r.Read(p[:min(int64(len(p)), c.left+1)])
	if c.left -= int64(n); c.left < 0 {
		return 0, faultf(ReasonTooLarge, "%s", c.what)
	}
	return n, err
}
