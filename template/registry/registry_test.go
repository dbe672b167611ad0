package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/transfer"
)

func TestManifest(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	host := f.listen(t)
	text := []byte(`{"schemaVersion":2}`)
	d := f.addManifest("1", oci.MediaTypeImageManifest, text)
	index := f.addManifest("2", oci.MediaTypeImageIndex, []byte(`{"manifests":[]}`))
	for _, c := range []struct {
		ref       string
		d, want   digest.Digest
		mediaType string
	}{
		{"/team/web:1", "", d, oci.MediaTypeImageManifest},
		{"/team/web:2", "", index, oci.MediaTypeImageIndex},
		{"/team/web@" + d.String(), "", d, oci.MediaTypeImageManifest},
		{"/team/web:2@" + d.String(), "", d, oci.MediaTypeImageManifest}, // the digest comes before the tag
		{"/team/web:2", d, d, oci.MediaTypeImageManifest},
	} {
		repo := mustOpen(t, host+c.ref, false)
		b, got, err := repo.Manifest(context.Background(), c.d, 100)
		if err != nil || got.Digest != c.want || digest.FromBytes(b) != c.want || got.Size != int64(len(b)) || got.MediaType != c.mediaType {
			t.Errorf("%s %q: %s %v, %v", c.ref, c.d, b, got, err)
		}
	}
}

func TestManifestRefuses(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	host := f.listen(t)
	f.addManifest("1", oci.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
	other := digest.FromString("other")
	f.manifests[other.String()] = f.manifests["1"]
	repo := mustOpen(t, host+"/team/web:1", false)
	for _, c := range []struct {
		name  string
		d     digest.Digest
		limit int64
		kind  fail.Kind
		want  string
	}{
		{"another digest", other, 100, fail.Usage, "the registry sent the manifest " + other.String() + " with digest"},
		{"too large", "", 5, fail.Usage, "larger than 5 bytes"},
		{"missing", digest.FromString("missing"), 100, fail.NotFound, host + " has no team/web:1"},
	} {
		_, _, err := repo.Manifest(context.Background(), c.d, c.limit)
		if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestBlobResumes(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	repo := mustOpen(t, f.listen(t)+"/team/web:1", false)
	d := f.addBlob([]byte("0123456789"))
	for _, c := range []struct {
		offset int64
		want   string
		asked  string
	}{
		{0, "0123456789", ""},
		{4, "456789", " bytes=4-9"},
		{9, "9", " bytes=9-9"},
	} {
		f.seen()
		body, from, err := repo.Blob(context.Background(), d, c.offset)
		if err != nil {
			t.Errorf("%d: %v", c.offset, err)
			continue
		}
		b, err := io.ReadAll(body)
		body.Close()
		if err != nil || string(b) != c.want || from != c.offset {
			t.Errorf("from %d: %q from %d, %v", c.offset, b, from, err)
		}
		if got, want := f.seen(), "GET blobs/"+d.Digest.String()+c.asked; got != want {
			t.Errorf("from %d: request %q, want %q", c.offset, got, want)
		}
	}
}

func TestBlobWithoutRanges(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	repo := mustOpen(t, f.listen(t)+"/team/web:1", false)
	d := f.addBlob([]byte("0123456789"))
	f.answer = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "0123456789") }
	body, from, err := repo.Blob(context.Background(), d, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if b, err := io.ReadAll(body); err != nil || string(b) != "0123456789" || from != 0 {
		t.Errorf("%q from %d, %v", b, from, err)
	}

	f.answer = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-9/10")
		w.WriteHeader(http.StatusPartialContent)
	}
	if _, _, err := repo.Blob(context.Background(), d, 4); !fail.Is(err, fail.Usage) || !strings.Contains(err.Error(), "instead of bytes from 4 on") {
		t.Errorf("another range: %v", err)
	}
}

// A connection that breaks, and one that sends nothing any more, can be tried
// again.
func TestBlobIsInterrupted(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	repo := mustOpen(t, f.listen(t)+"/team/web:1", false)
	d := f.addBlob([]byte("0123456789"))
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		stall  time.Duration
		want   error
	}{
		{"broken", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "0123")
		}, transfer.StallAfter, io.ErrUnexpectedEOF},
		{"stalled", func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "0123")
			w.(http.Flusher).Flush()
			<-req.Context().Done()
		}, time.Millisecond, transfer.ErrStalled},
	} {
		f.answer, repo.stall = c.answer, c.stall
		body, _, err := repo.Blob(context.Background(), d, 0)
		if err == nil {
			_, err = io.ReadAll(body)
			body.Close()
		}
		if !errors.Is(err, c.want) || !IsTemporary(err) {
			t.Errorf("%s: error %v, temporary %v", c.name, err, IsTemporary(err))
		}
	}
}

func TestACancelledBlobIsNotTemporary(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	repo := mustOpen(t, f.listen(t)+"/team/web:1", false)
	d := f.addBlob([]byte("0123456789"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := repo.Blob(ctx, d, 0); !errors.Is(err, context.Canceled) || IsTemporary(err) {
		t.Errorf("error %v, temporary %v", err, IsTemporary(err))
	}
}

func TestPush(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	repo := mustOpen(t, f.listen(t)+"/team/web:1", true)
	ctx := context.Background()
	blob := []byte("a layer")
	d := oci.Descriptor{Digest: digest.FromBytes(blob), Size: int64(len(blob))}
	if has, err := repo.Has(ctx, d.Digest); has || err != nil {
		t.Fatalf("has the blob before: %v, %v", has, err)
	}
	for range 2 {
		if err := repo.PutBlob(ctx, d, bytes.NewReader(blob)); err != nil {
			t.Fatal(err)
		}
	}
	if has, err := repo.Has(ctx, d.Digest); !has || err != nil {
		t.Errorf("has the blob afterwards: %v, %v", has, err)
	}
	text := []byte(`{"schemaVersion":2}`)
	if err := repo.PutManifest(ctx, oci.MediaTypeImageManifest, text); err != nil {
		t.Fatal(err)
	}
	if got := f.manifests["1"]; !bytes.Equal(got.body, text) || got.mediaType != oci.MediaTypeImageManifest {
		t.Errorf("manifest %s of type %q", got.body, got.mediaType)
	}
}

// A reference without a tag is pushed under its digest.
func TestPushByDigest(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	text := []byte(`{"schemaVersion":2}`)
	d := digest.FromBytes(text)
	repo := mustOpen(t, f.listen(t)+"/team/web@"+d.String(), true)
	if err := repo.PutManifest(context.Background(), oci.MediaTypeImageManifest, text); err != nil {
		t.Fatal(err)
	}
	if got := f.seen(); got != "PUT manifests/"+d.String() {
		t.Errorf("requests %q", got)
	}
}

func TestPushFails(t *testing.T) {
	noCredentials(t)
	f := newFakeRegistry()
	repo := mustOpen(t, f.listen(t)+"/team/web:1", true)
	d := oci.Descriptor{Digest: digest.FromString("a layer"), Size: 7}
	putBlob := func() error { return repo.PutBlob(context.Background(), d, strings.NewReader("a layer")) }
	putManifest := func() error {
		return repo.PutManifest(context.Background(), oci.MediaTypeImageManifest, []byte("{}"))
	}
	for _, c := range []struct {
		name   string
		push   func() error
		answer http.HandlerFunc
		kind   fail.Kind
		want   string
	}{
		{"no location", putBlob, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, fail.Host, "invalid upload location"},
		{"another digest", putManifest, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Docker-Content-Digest", d.Digest.String())
			w.WriteHeader(http.StatusCreated)
		}, fail.Host, "stored the manifest as " + d.Digest.String()},
		{"denied", putBlob, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, fail.Permission, "denies access"},
		{"a blob that is missing", putManifest, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, fail.Host, "400"},
	} {
		f.answer = c.answer
		if err := c.push(); !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}
