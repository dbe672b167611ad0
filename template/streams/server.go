package streams

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/template/transfer"
)

// Options say how a server is reached.
type Options struct {
	transfer.Trust
	Cache string   // a directory for its catalogue; it is created; "" is no cache
	Keys  [][]byte // OpenPGP keys, binary or armored: one key of each element signs the catalogue; nil: it need not be signed
}

// A Server publishes images. Several goroutines may use it at once.
type Server struct {
	url    *url.URL
	client *http.Client
	o      Options
	keys   []keyring
}

// Open prepares access to the server at the URL. It sends nothing. An invalid URL and
// invalid keys are fail.Usage. There is nothing to close.
func Open(address string, o Options) (*Server, error) {
	u, err := ParseURL(address)
	if err != nil {
		return nil, err
	}
	s := &Server{url: u, o: o}
	for _, text := range o.Keys {
		keys, err := readKeys(text)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, keys)
	}
	t, err := o.Transport(u.Host)
	if err != nil {
		return nil, err
	}
	s.client = &http.Client{Transport: t}
	return s, nil
}

// ParseURL parses the address of a server; one that is not http or https is fail.Usage.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fail.New(fail.Usage, "invalid URL of an image server %q (example: https://images.example.org)", address)
	}
	if u.User != nil {
		return nil, fail.New(fail.Usage, "the URL of an image server must not have a password in it")
	}
	return u, nil
}

// maxCatalogue limits the size of a catalogue, in bytes.
const maxCatalogue = 128 << 20

// indexPath is where each server has its index.
const indexPath = "streams/v1/index.json"

// Images returns the images of the server. A server that cannot be reached is fail.Host,
// an invalid catalogue or signature fail.Usage.
func (s *Server) Images(ctx context.Context) ([]Image, error) {
	text, err := s.document(ctx, indexPath)
	if err != nil {
		return nil, err
	}
	paths, err := parseIndex(text)
	if err != nil {
		return nil, err
	}
	var all []Image
	for _, p := range paths {
		if base, signed := strings.CutSuffix(p, ".sjson"); signed { // a signed index names signed catalogues
			p = base + ".json"
		}
		if text, err = s.document(ctx, p); err != nil {
			return nil, err
		}
		images, err := parseProducts(text)
		if err != nil {
			return nil, err
		}
		all = append(all, images...)
	}
	return all, nil
}

// document returns a document of the catalogue whose path ends with .json, with its
// signature verified if the server has keys.
func (s *Server) document(ctx context.Context, path string) ([]byte, error) {
	if s.keys == nil {
		return s.cached(ctx, path)
	}
	signed, err := s.cached(ctx, strings.TrimSuffix(path, ".json")+".sjson")
	if err == nil {
		return s.clearsigned(signed)
	}
	if !fail.Is(err, fail.NotFound) {
		return nil, err
	}
	signature, err := s.cached(ctx, path+".gpg")
	if fail.Is(err, fail.NotFound) {
		return nil, fail.New(fail.Usage, "the server does not sign %s: there is no %s and no %s", path, strings.TrimSuffix(path, ".json")+".sjson", path+".gpg")
	} else if err != nil {
		return nil, err
	}
	text, err := s.cached(ctx, path)
	if err != nil {
		return nil, err
	}
	for _, keys := range s.keys {
		if err := keys.detached(text, signature); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// clearsigned returns the text of a message with its signature, which each keyring has verified.
func (s *Server) clearsigned(message []byte) (text []byte, err error) {
	for _, keys := range s.keys {
		if text, err = keys.clearsigned(message); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// cached downloads a document, unless the server says that the one in the cache is still
// the same (RFC 9110, If-None-Match and If-Modified-Since).
func (s *Server) cached(ctx context.Context, path string) ([]byte, error) {
	old := s.readCache(path)
	header := http.Header{}
	if old.tag != "" {
		header.Set("If-None-Match", old.tag)
	}
	if old.modified != "" {
		header.Set("If-Modified-Since", old.modified)
	}
	ctx, cancel := context.WithTimeout(ctx, catalogueTimeout)
	defer cancel()
	resp, err := s.get(ctx, path, header)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := s.check(path, resp, http.StatusOK, http.StatusNotModified); err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotModified {
		return old.text, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxCatalogue+1))
	if err != nil {
		return nil, s.failure(path, err)
	}
	if len(text) > maxCatalogue {
		return nil, badCatalogue("%s is larger than %d bytes", path, maxCatalogue)
	}
	return text, s.writeCache(path, cacheEntry{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified"), text})
}

// catalogueTimeout limits the download of one document of a catalogue.
const catalogueTimeout = 5 * time.Minute

// A cacheEntry is a document and what the server said of its version.
type cacheEntry struct {
	tag, modified string
	text          []byte
}

// cacheFile returns the file of a document in the cache: two lines, and the document.
func (s *Server) cacheFile(path string) string {
	return filepath.Join(s.o.Cache, digest.FromString(s.url.JoinPath(path).String()).Encoded())
}

// readCache returns a document of the cache. It is empty if there is none that can be read.
func (s *Server) readCache(path string) cacheEntry {
	if s.o.Cache == "" {
		return cacheEntry{}
	}
	text, err := os.ReadFile(s.cacheFile(path))
	if err != nil {
		return cacheEntry{}
	}
	parts := strings.SplitN(string(text), "\n", 4)
	if len(parts) != 4 || digest.FromString(parts[3]).Encoded() != parts[0] { // it was cut
		return cacheEntry{}
	}
	return cacheEntry{parts[1], parts[2], []byte(parts[3])}
}

func (s *Server) writeCache(path string, e cacheEntry) error {
	if s.o.Cache == "" || e.tag == "" && e.modified == "" || strings.ContainsAny(e.tag+e.modified, "\n") {
		return nil
	}
	if err := os.MkdirAll(s.o.Cache, 0o700); err != nil {
		return fail.New(fail.Host, "keep the catalogue of a server: %w", err)
	}
	head := digest.FromBytes(e.text).Encoded() + "\n" + e.tag + "\n" + e.modified + "\n"
	if err := atomicfile.ReplaceShared(s.cacheFile(path), 0o600, append([]byte(head), e.text...)); err != nil {
		return fail.New(fail.Host, "keep the catalogue of a server: %w", err)
	}
	return nil
}

// get sends a request for a file and returns the response of any status.
func (s *Server) get(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.JoinPath(path).String(), nil)
	if err != nil {
		return nil, fail.New(fail.Usage, "%s: %w", path, err)
	}
	req.Header = header
	req.Header.Set("User-Agent", "croft")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.failure(path, err)
	}
	return resp, nil
}

// check returns a classified error unless the response has one of the statuses.
func (s *Server) check(path string, resp *http.Response, statuses ...int) error {
	return s.failure(path, transfer.Check(resp, statuses...))
}

// failure classifies an error of a request for path.
func (s *Server) failure(path string, err error) error {
	var said *transfer.StatusError
	if !errors.As(err, &said) {
		return transfer.Failure(path, s.url.Host, err)
	}
	kind := fail.Host
	switch said.Code {
	case http.StatusNotFound, http.StatusGone:
		kind = fail.NotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = fail.Permission
	}
	return fail.New(kind, "%s: %s: %w", s.url.Host, path, said)
}

// Files returns the files of an image as blobs.
func (s *Server) Files(im Image) Files { return Files{s, []File{im.Meta, im.Root}} }

// Files are files of a server, named by their digests.
type Files struct {
	server *Server
	all    []File
}

// Blob starts a download of the file with the digest of d at the byte offset. It returns
// the offset at which the content begins: 0 if the server does not support ranges. The
// caller closes the reader and checks the digest.
func (f Files) Blob(ctx context.Context, d oci.Descriptor, offset int64) (io.ReadCloser, int64, error) {
	for _, file := range f.all {
		if file.Digest != d.Digest {
			continue
		}
		part := transfer.Part{Subject: file.Path, Offset: offset, Size: file.Size, Stall: transfer.StallAfter}
		return part.Get(ctx, func(ctx context.Context, header http.Header) (*http.Response, error) {
			resp, err := f.server.get(ctx, file.Path, header)
			if err != nil {
				return nil, err
			}
			if err := f.server.check(file.Path, resp, http.StatusOK, http.StatusPartialContent); err != nil {
				resp.Body.Close()
				return nil, err
			}
			return resp, nil
		})
	}
	return nil, 0, fail.New(fail.NotFound, "the image has no file %s", d.Digest)
}
