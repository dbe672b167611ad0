package signatures

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"croft/template/reference"

	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"croft/internal/fail"
	"croft/template/transfer"
	"croft/template/trust"
)

// A lookaside finds OpenPGP signatures, which are beside a registry: in a directory, or on a web
// server (containers-registries.d(5)).
type lookaside struct {
	dir   string // its configuration; "" is Lookasides
	trust transfer.Trust
}

// defaultLookaside is where skopeo and podman of root keep signatures unless a file says otherwise.
const defaultLookaside = "file:///var/lib/containers/sigstore"

// A place is where the signatures of a namespace are, and where new ones are written if that is elsewhere. Older
// files have the other names.
type place struct {
	Lookaside        string `yaml:"lookaside"`
	LookasideStaging string `yaml:"lookaside-staging"`
	Sigstore         string `yaml:"sigstore"`
	SigstoreStaging  string `yaml:"sigstore-staging"`
}

// places is one file of the configuration.
type places struct {
	Default place            `yaml:"default-docker"`
	Docker  map[string]place `yaml:"docker"`
}

// base returns the URL of the signatures of an image: the first that of returns of the places for it.
func (l lookaside) base(name *reference.Named, of func(place) string) (string, error) {
	dir := l.dir
	if dir == "" {
		dir = Lookasides
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return "", err
	}
	all := places{Docker: map[string]place{}}
	for _, file := range files {
		text, err := readTrusted(file)
		if err != nil {
			return "", err
		}
		var one places
		if err := yaml.Unmarshal(text, &one); err != nil {
			return "", fail.New(fail.State, "read %s: %w", file, oneLine(err))
		}
		if one.Default != (place{}) {
			if all.Default != (place{}) {
				return "", fail.New(fail.State, "read %s: another file has default-docker too", file)
			}
			all.Default = one.Default
		}
		for scope, p := range one.Docker {
			if _, twice := all.Docker[scope]; twice {
				return "", fail.New(fail.State, "read %s: another file has %s too", file, scope)
			}
			all.Docker[scope] = p
		}
	}
	for _, scope := range trust.RegistryScopes(name) {
		if url := of(all.Docker[scope]); url != "" {
			return url, nil
		}
	}
	if url := of(all.Default); url != "" {
		return url, nil
	}
	return defaultLookaside, nil
}

func (p place) reading() string { return cmp.Or(p.Lookaside, p.Sigstore) }

func (p place) writing() string {
	return cmp.Or(p.LookasideStaging, p.SigstoreStaging, p.Lookaside, p.Sigstore)
}

// oneLine returns an error of YAML as one line.
func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "))
}

// signatures returns the signatures of the manifests with these digests.
func (l lookaside) signatures(ctx context.Context, name *reference.Named, digests []digest.Digest) ([][]byte, error) {
	base, err := l.base(name, place.reading)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "file" && u.Scheme != "https" && u.Scheme != "http" {
		return nil, fail.New(fail.State, "the signatures of %s are at %q, and croft reads only URLs of file, https and http", name.Name(), base)
	}
	get := l.file
	if u.Scheme != "file" {
		client, err := l.client(u.Host)
		if err != nil {
			return nil, err
		}
		get = client.get
	}
	var all [][]byte
	for _, d := range digests {
		for n := 1; ; n++ {
			at := numbered(*u, name, d, n)
			one, err := get(ctx, &at)
			if fail.Is(err, fail.NotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			if len(all) == maxSignatures {
				return nil, fail.New(fail.Usage, "the image has more than %d signatures", maxSignatures)
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// numbered returns where the signature with this number is, of the image with this digest.
func numbered(base url.URL, name *reference.Named, d digest.Digest, n int) url.URL {
	base.Path = fmt.Sprintf("%s/%s@%s=%s/signature-%d", strings.TrimRight(base.Path, "/"), name.Path, d.Algorithm(), d.Encoded(), n)
	base.RawPath = ""
	return base
}

// file reads a signature in a directory; a missing one is fail.NotFound.
func (l lookaside) file(_ context.Context, at *url.URL) ([]byte, error) {
	f, err := os.Open(at.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail.New(fail.NotFound, "%w", err)
	} else if err != nil {
		return nil, fail.New(fail.Host, "read a signature: %w", err)
	}
	defer f.Close()
	return readSignature(at, f)
}

func readSignature(at *url.URL, r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSignature+1))
	if err != nil {
		return nil, transfer.Failure("the signature "+at.Redacted(), at.Host, err)
	}
	if len(b) > maxSignature {
		return nil, fail.New(fail.Usage, "the signature %s is larger than %d bytes", at.Redacted(), maxSignature)
	}
	return b, nil
}

// A webServer has signatures.
type webServer struct{ client *http.Client }

func (l lookaside) client(host string) (webServer, error) {
	t, err := l.trust.Transport(host)
	return webServer{&http.Client{Transport: t}}, err
}

// get downloads a signature; a missing one is fail.NotFound.
func (w webServer) get(ctx context.Context, at *url.URL) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, fail.New(fail.State, "%w", err)
	}
	req.Header.Set("User-Agent", "croft")
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, transfer.Failure("the signature "+at.Redacted(), at.Host, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, fail.New(fail.NotFound, "%s: %s", at.Redacted(), resp.Status)
	}
	if err := transfer.Check(resp, http.StatusOK); err != nil {
		return nil, fail.New(fail.Host, "the signature %s: %w", at.Redacted(), err)
	}
	return readSignature(at, resp.Body)
}
