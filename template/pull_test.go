package template

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go"
	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/images"
	"croft/template/registry"
	"croft/template/roottest"
)

// A hub is a registry in this process. If spoil is set, it changes the answers for
// blobs.
type hub struct {
	host  string
	mu    sync.Mutex
	inner http.Handler // the registry
	asked []string     // METHOD KIND of each request for a blob or manifest, with its range
	spoil func(w http.ResponseWriter, req *http.Request, body []byte) bool
	ggcr  []ggcr.Option
}

func newHub(t *testing.T, o ...ggcr.Option) *hub {
	t.Helper()
	h := &hub{ggcr: append(o, ggcr.Logger(log.New(io.Discard, "", 0)))}
	h.loses()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h.mu.Lock()
		inner := h.inner
		h.mu.Unlock()
		if req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/blobs/") {
			inner.ServeHTTP(w, req)
			return
		}
		h.mu.Lock()
		h.asked = append(h.asked, strings.TrimSpace("GET "+req.Header.Get("Range")))
		spoil := h.spoil
		h.mu.Unlock()
		plain := req.Clone(req.Context())
		plain.Header.Del("Range")
		rec := httptest.NewRecorder()
		inner.ServeHTTP(rec, plain)
		body := rec.Body.Bytes()
		if rec.Code != http.StatusOK || spoil == nil || !spoil(w, req, body) {
			inner.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(server.Close)
	h.host = strings.TrimPrefix(server.URL, "http://")
	return h
}

// loses makes the registry empty.
func (h *hub) loses() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inner = ggcr.New(h.ggcr...)
}

func (h *hub) spoils(how func(w http.ResponseWriter, req *http.Request, body []byte) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spoil, h.asked = how, nil
}

func (h *hub) requests() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.asked, ", ")
}

// put uploads a blob or manifest to the hub.
func (h *hub) put(t *testing.T, path, mediaType string, b []byte) oci.Descriptor {
	t.Helper()
	d := oci.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	url := "http://" + h.host + "/v2/" + path + "/blobs/uploads/?digest=" + d.Digest.String()
	method := http.MethodPost
	if strings.Contains(mediaType, "manifest") || strings.Contains(mediaType, "index") {
		repo, tag, _ := strings.Cut(path, ":")
		if tag == "" {
			tag = d.Digest.String()
		}
		url, method = "http://"+h.host+"/v2/"+repo+"/manifests/"+tag, http.MethodPut
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("put %s: %s %s", path, resp.Status, text)
	}
	return d
}

// A published image: the parts of an image for publish.
type published struct {
	layers  [][]byte // tars
	pack    func([]byte) []byte
	kind    string // media type of layers
	arch    string
	config  oci.ImageConfig
	docker  bool
	spoil   func(*oci.Manifest, *oci.Image)
	variant string
}

func gz(t testing.TB) func([]byte) []byte {
	return func(b []byte) []byte {
		return compress(t, b, func(w io.Writer) (io.WriteCloser, error) { return newGzip(w), nil })
	}
}

// publish uploads an image to the hub under repo[:tag].
func (h *hub) publish(t *testing.T, at string, p published) oci.Descriptor {
	t.Helper()
	repo, _, _ := strings.Cut(at, ":")
	if p.arch == "" {
		p.arch = thisArch
	}
	c := oci.Image{Platform: oci.Platform{OS: "linux", Architecture: p.arch, Variant: p.variant}, Config: p.config, RootFS: oci.RootFS{Type: "layers"}}
	m := oci.Manifest{Versioned: ocispec.Versioned{SchemaVersion: 2}, MediaType: oci.MediaTypeImageManifest}
	if p.docker {
		m.MediaType = registry.DockerManifest
	}
	for _, l := range p.layers {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromBytes(l))
		if p.pack != nil {
			l = p.pack(l)
		}
		d := h.put(t, repo, "application/octet-stream", l)
		d.MediaType = p.kind
		m.Layers = append(m.Layers, d)
	}
	if p.spoil != nil {
		p.spoil(&m, &c)
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if m.Config.Digest == "" {
		m.Config = h.put(t, repo, "application/octet-stream", text)
		m.Config.MediaType = oci.MediaTypeImageConfig
		if p.docker {
			m.Config.MediaType = registry.DockerConfig
		}
	}
	if text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return h.put(t, at, m.MediaType, text)
}

// twoLayers returns the layers of a small system. The second hides a file of the first.
func twoLayers(t testing.TB) [][]byte {
	t.Helper()
	return [][]byte{
		roottest.Rootfs(t, roottest.File("etc/old", "x"), roottest.Dir("var/"), roottest.File("var/x", "y")),
		roottest.Archive(t, roottest.Dir("etc/"), roottest.File("etc/new", "z"), roottest.File("var/y", "z")),
	}
}

func TestPullAndPush(t *testing.T) {
	h := newHub(t)
	for _, c := range []struct {
		name string
		p    published
	}{
		{"plain", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayer}},
		{"gzip", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayerGzip, pack: gz(t)}},
		{"zstd", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayerZstd, pack: zstdOf(t)}},
		{"docker", published{layers: twoLayers(t), kind: registry.DockerLayer + ".gzip", pack: gz(t), docker: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.config = oci.ImageConfig{Env: []string{"A=b"}, Entrypoint: []string{"/sbin/init"}, Cmd: []string{"x"}, User: "5:6", WorkingDir: "/srv", StopSignal: "SIGINT"}
			there := h.publish(t, "team/"+c.name+":1", c.p)
			s := newStore(t, Options{})
			ref := h.host + "/team/" + c.name + ":1"
			im, err := s.Pull(t.Context(), ref, PullOptions{Insecure: true})
			if err != nil {
				t.Fatal(err)
			}
			if im.Name != c.name+"-1" || im.Source != ref || im.SourceDigest != there.Digest.String() || im.Distribution != "test" || im.Init != "other" {
				t.Errorf("pulled %+v", im)
			}
			if same := im.Digest == there.Digest.String(); same == c.p.docker { // Docker's manifests become OCI's
				t.Errorf("the digest is %s, there %s", im.Digest, there.Digest)
			}
			if im.User != "5:6" || im.WorkingDir != "/srv" || im.StopSignal != "SIGINT" || im.Env[0] != "A=b" || im.Cmd[0] != "x" || im.Size != 37 {
				t.Errorf("its config is %+v", im)
			}
			dirs, err := s.LayerDirs(im)
			if err != nil || len(dirs) != 2 {
				t.Fatalf("layers %v, %v", dirs, err)
			}
			if got, want := roottest.List(t, dirs[0]), "drwxr-xr-x etc\n-rw-r--r-- etc/new \"z\"\ndrwxr-xr-x var\n-rw-r--r-- var/y \"z\"\n"; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			pushAndPullBack(t, h, s, im)
		})
	}
}

// pushAndPullBack checks that a pull after a push gives the same image.
func pushAndPullBack(t *testing.T, h *hub, s *Store, im Image) {
	t.Helper()
	to := h.host + "/mirror/" + im.Name + ":again"
	if err := s.Push(t.Context(), im.Name, to, PushOptions{Insecure: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Push(t.Context(), im.Name, to, PushOptions{Insecure: true}); err != nil {
		t.Errorf("twice: %v", err)
	}
	other := newStore(t, Options{})
	back, err := other.Pull(t.Context(), to, PullOptions{Insecure: true, Name: "back"})
	if err != nil {
		t.Fatal(err)
	}
	if back.Digest != im.Digest || back.Size != im.Size || fmt.Sprint(back.Layers) != fmt.Sprint(im.Layers) {
		t.Errorf("it came back as %+v, not %+v", back, im)
	}
	if left := files(t, s); strings.Contains(left, "partial/") || strings.Contains(left, "stage-") {
		t.Errorf("left:\n%s", left)
	}
}

func TestPullAgain(t *testing.T) {
	h := newHub(t)
	first := h.publish(t, "web:1", published{layers: twoLayers(t)[:1], kind: oci.MediaTypeImageLayer})
	s := newStore(t, Options{})
	ref := h.host + "/web:1"
	pull := func(o PullOptions) (Image, error) {
		o.Insecure = true
		return s.Pull(t.Context(), ref, o)
	}
	if _, err := pull(PullOptions{}); err != nil {
		t.Fatal(err)
	}
	h.spoils(nil)
	if im, err := pull(PullOptions{}); err != nil || im.Digest != first.Digest.String() {
		t.Errorf("the same again: %+v, %v", im, err)
	}
	if got := h.requests(); got != "" && strings.Count(got, "GET") > 1 {
		t.Errorf("it fetched what is here: %s", got)
	}
	second := h.publish(t, "web:1", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayer})
	h.spoils(nil)
	if im, err := pull(PullOptions{}); err != nil || im.Digest != second.Digest.String() {
		t.Errorf("the newer one: %+v, %v", im, err)
	}
	if got := h.requests(); strings.Count(got, "GET") != 2 { // config, and the layer that is new
		t.Errorf("asked for %s", got)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || !all[1].Former || all[1].Digest != first.Digest.String() || all[1].Source != ref || all[1].Size == 0 {
		t.Errorf("there are %+v (%v)", all, err)
	}
	// The name belongs to another image.
	mustImport(t, s, "mine", roottest.Rootfs(t), ImportOptions{})
	if _, err := pull(PullOptions{Name: "mine"}); !fail.Is(err, fail.Taken) {
		t.Errorf("got %v", err)
	}
	if _, err := pull(PullOptions{Name: "mine", Replace: true}); err != nil {
		t.Error(err)
	}
}

func TestPullChoosesThePlatform(t *testing.T) {
	h := newHub(t)
	p := published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer}
	var ix oci.Index
	ix.SchemaVersion, ix.MediaType = 2, oci.MediaTypeImageIndex
	want := map[string]string{}
	for _, at := range []oci.Platform{{OS: "unknown", Architecture: "unknown"}, {OS: "linux", Architecture: "s390x"},
		{OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "linux", Architecture: "arm", Variant: "v6"}, {OS: "linux", Architecture: thisArch}} {
		p.arch, p.variant, p.config.Env = at.Architecture, at.Variant, []string{"AT=" + images.PlatformText(at)}
		d := h.publish(t, "all", p)
		d.Platform = &at
		ix.Manifests = append(ix.Manifests, d)
		want[images.PlatformText(at)] = d.Digest.String()
	}
	text, err := json.Marshal(ix)
	if err != nil {
		t.Fatal(err)
	}
	inner := h.put(t, "all:inner", oci.MediaTypeImageIndex, text)
	outer, err := json.Marshal(oci.Index{Versioned: ix.Versioned, MediaType: ix.MediaType, Manifests: []oci.Descriptor{inner}})
	if err != nil {
		t.Fatal(err)
	}
	h.put(t, "all:outer", oci.MediaTypeImageIndex, outer)
	for arch, at := range map[string]string{"": "linux/" + thisArch, "s390x": "linux/s390x", "arm": "linux/arm/v7"} {
		for _, tag := range []string{"inner", "outer"} {
			s := newStore(t, Options{})
			im, err := s.Pull(t.Context(), h.host+"/all:"+tag, PullOptions{Insecure: true, Architecture: arch})
			if err != nil || im.Digest != want[at] {
				t.Errorf("%s %s: %s, want %s (%v)", tag, at, im.Digest, want[at], err)
			}
		}
	}
	s := newStore(t, Options{})
	_, err = s.Pull(t.Context(), h.host+"/all:inner", PullOptions{Insecure: true, Architecture: "mips"})
	if !fail.Is(err, fail.NotFound) || !strings.Contains(err.Error(), "linux/arm/v6") {
		t.Errorf("got %v", err)
	}
	roottest.OneLine(t, err)
}

// noise returns text that does not compress well.
func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func TestPullGoesOnAfterABrokenConnection(t *testing.T) {
	h := newHub(t)
	h.publish(t, "big:1", published{layers: [][]byte{roottest.Rootfs(t, roottest.File("big", noise(500_000)))}, kind: oci.MediaTypeImageLayer})
	s := newStore(t, Options{})
	pull := func() error {
		_, err := s.Pull(t.Context(), h.host+"/big:1", PullOptions{Insecure: true})
		return err
	}
	// Every answer ends after 300 kB: four requests are needed.
	cutting := func(w http.ResponseWriter, req *http.Request, body []byte) bool {
		from := 0
		fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
		if len(body)-from < 300_000 {
			return false
		}
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		w.Write(body[from : from+300_000])
		panic(http.ErrAbortHandler)
	}
	h.spoils(cutting)
	if err := pull(); err != nil {
		t.Fatal(err)
	}
	if got := regexp.MustCompile(`(bytes=\d+)-\d+`).ReplaceAllString(h.requests(), "$1"); !strings.HasSuffix(got, "GET, GET bytes=300000, GET bytes=600000, GET bytes=900000") {
		t.Errorf("asked for %s", got)
	}

	// A connection that stays broken: the next pull uses the received data.
	s = newStore(t, Options{})
	h.spoils(func(w http.ResponseWriter, req *http.Request, body []byte) bool {
		if len(body) < 300_000 {
			return false
		}
		if req.Header.Get("Range") == "" {
			return cutting(w, req, body)
		}
		panic(http.ErrAbortHandler)
	})
	err := pull()
	if !fail.Is(err, fail.Host) || !strings.Contains(fail.HintOf(err), "resume") {
		t.Fatalf("got %v, %s", err, fail.HintOf(err))
	}
	roottest.OneLine(t, err)
	if left := files(t, s); strings.Contains(left, "stage-") || strings.Contains(left, "blobs/sha256/") {
		t.Errorf("left:\n%s", left)
	}
	h.spoils(nil)
	if err := pull(); err != nil {
		t.Fatal(err)
	}
	if got := h.requests(); !strings.HasPrefix(got, "GET bytes=300000-") || strings.Contains(got, ",") { // not even the config again
		t.Errorf("asked for %s", got)
	}
	if left := files(t, s); strings.Contains(left, "partial/") {
		t.Errorf("left:\n%s", left)
	}
}

// A download begins again if the registry does not support ranges, or if a power cut
// has damaged the received part.
func TestPullBeginsAnew(t *testing.T) {
	h := newHub(t)
	p := published{layers: [][]byte{roottest.Rootfs(t, roottest.File("big", noise(100_000)))}, kind: oci.MediaTypeImageLayer}
	h.publish(t, "big:1", p)
	for _, spoilt := range []string{"", "part", "all"} {
		s := newStore(t, Options{})
		if err := s.Make(); err != nil {
			t.Fatal(err)
		}
		text := p.layers[0][:150_000]
		switch spoilt {
		case "part":
			text = bytes.Repeat([]byte("x"), 150_000)
		case "all":
			text = bytes.Repeat([]byte("x"), 1<<20)
		}
		if err := os.WriteFile(s.Path("partial", digest.FromBytes(p.layers[0]).Encoded()), text, 0o600); err != nil {
			t.Fatal(err)
		}
		h.spoils(func(w http.ResponseWriter, req *http.Request, body []byte) bool {
			if spoilt == "" {
				w.Write(body) // whatever was asked for
			}
			return spoilt == ""
		})
		if _, err := s.Pull(t.Context(), h.host+"/big:1", PullOptions{Insecure: true}); err != nil {
			t.Errorf("%q: %v", spoilt, err)
		}
	}
}

func TestPullRefusesWhatARegistryMustNotSend(t *testing.T) {
	h := newHub(t)
	good := func(m *oci.Manifest, c *oci.Image) {}
	for _, c := range []struct {
		name  string
		spoil func(*oci.Manifest, *oci.Image)
		sent  func(w http.ResponseWriter, req *http.Request, body []byte) bool
		kind  fail.Kind
		want  string
	}{
		{"other bytes", good, func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
			w.Write(bytes.Repeat([]byte("x"), len(body)))
			return true
		}, fail.Usage, "sent the blob sha256:"},
		{"more bytes", good, func(w http.ResponseWriter, _ *http.Request, body []byte) bool {
			w.Write(append(body, 'x'))
			return true
		}, fail.Usage, "more than"},
		{"an endless answer", good, func(w http.ResponseWriter, req *http.Request, body []byte) bool {
			for {
				if _, err := w.Write(body); err != nil {
					return true
				}
			}
		}, fail.Usage, "more than"},
		{"another range", good, func(w http.ResponseWriter, req *http.Request, body []byte) bool {
			w.Header().Set("Content-Range", "bytes 7-8/9")
			w.WriteHeader(http.StatusPartialContent)
			return true
		}, fail.Usage, "sent the range \"bytes 7-8/9\""},
		{"no blob", good, func(w http.ResponseWriter, req *http.Request, body []byte) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}, fail.NotFound, "has no"},
		{"never anything", good, func(w http.ResponseWriter, req *http.Request, body []byte) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}, fail.Host, "500"},
		{"wrong diff id", func(_ *oci.Manifest, c *oci.Image) { c.RootFS.DiffIDs[0] = digest.FromString("x") }, nil, fail.Usage, "has digest"},
		{"too few diff ids", func(_ *oci.Manifest, c *oci.Image) { c.RootFS.DiffIDs = nil }, nil, fail.Usage, "0 diff ids"},
		{"a diff id that is none", func(_ *oci.Manifest, c *oci.Image) { c.RootFS.DiffIDs[0] = "../../x" }, nil, fail.Usage, "digest"},
		{"another system", func(_ *oci.Manifest, c *oci.Image) { c.OS = "windows" }, nil, fail.Usage, "windows"},
		{"another architecture", func(_ *oci.Manifest, c *oci.Image) { c.Architecture = "s390x" }, nil, fail.Usage, "s390x"},
		{"no layers", func(m *oci.Manifest, _ *oci.Image) { m.Layers = nil }, nil, fail.Usage, "no layers"},
		{"too many layers", func(m *oci.Manifest, _ *oci.Image) {
			for range 501 {
				m.Layers = append(m.Layers, m.Layers[0])
			}
		}, nil, fail.Usage, "layers"},
		{"an encrypted layer", func(m *oci.Manifest, _ *oci.Image) { m.Layers[0].MediaType += "+encrypted" }, nil, fail.Usage, "encrypted"},
		{"no layer", func(m *oci.Manifest, _ *oci.Image) { m.Layers[0].MediaType = "text/html" }, nil, fail.Usage, "text/html"},
		{"a size that is none", func(m *oci.Manifest, _ *oci.Image) { m.Layers[0].Size = -5 }, nil, fail.Usage, "size"},
		{"a terabyte", func(m *oci.Manifest, _ *oci.Image) { m.Layers[0].Size = 1 << 40 }, nil, fail.Usage, "too large"},
		{"a huge config", func(m *oci.Manifest, _ *oci.Image) {
			m.Config = oci.Descriptor{MediaType: oci.MediaTypeImageConfig, Digest: digest.FromString(""), Size: 1 << 30}
		}, nil, fail.Usage, "config"},
		{"no image at all", func(m *oci.Manifest, _ *oci.Image) {
			m.Config = oci.Descriptor{MediaType: "application/vnd.cncf.helm.config.v1+json", Digest: digest.FromString(""), Size: 2}
		}, nil, fail.Usage, "helm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.spoils(nil)
			h.publish(t, "bad:1", published{layers: [][]byte{roottest.Rootfs(t)}, kind: oci.MediaTypeImageLayer, spoil: c.spoil})
			h.spoils(c.sent)
			s := newStore(t, Options{})
			_, err := s.Pull(t.Context(), h.host+"/bad:1", PullOptions{Insecure: true})
			roottest.OneLine(t, err)
			if !fail.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("kind %d: %v", fail.KindOf(err), err)
			}
			left := files(t, s)
			for line := range strings.Lines(left) {
				if !strings.Contains(line, "partial/") {
					t.Errorf("left: %s", line)
				}
			}
			h.spoils(nil)
			if err := s.Prune(context.Background(), noUsers); err != nil || files(t, s) != "" {
				t.Errorf("after prune there is\n%s (%v)", files(t, s), err)
			}
		})
	}
}

func TestPullRefuses(t *testing.T) {
	h := newHub(t)
	s := newStore(t, Options{})
	for _, c := range []struct {
		ref, name string
		insecure  bool
		kind      fail.Kind
	}{
		{h.host + "/none:1", "x", true, fail.NotFound},
		{h.host + "/web:1", "x", false, fail.Host}, // it does not speak TLS
		{"127.0.0.1:1/web", "x", true, fail.Host},
		{"UPPER/case", "x", true, fail.Usage},
		{"web:", "x", true, fail.Usage},
		{"web@sha256:5", "x", true, fail.Usage},
		{"a b", "x", true, fail.Usage},
		{h.host + "/web:1", "../x", true, fail.Usage},
	} {
		_, err := s.Pull(t.Context(), c.ref, PullOptions{Name: c.name, Insecure: c.insecure})
		roottest.OneLine(t, err)
		if !fail.Is(err, c.kind) {
			t.Errorf("%s: kind %d: %v", c.ref, fail.KindOf(err), err)
		}
	}
	if err := s.Push(t.Context(), "absent", h.host+"/x", PushOptions{Insecure: true}); !fail.Is(err, fail.NotFound) {
		t.Errorf("push of nothing: %v", err)
	}
	if left := files(t, s); left != "" {
		t.Errorf("left:\n%s", left)
	}
}

// One of several pulls at the same time downloads the image; the others wait for it.
func TestPullAtOnce(t *testing.T) {
	h := newHub(t)
	h.publish(t, "web:1", published{layers: twoLayers(t), kind: oci.MediaTypeImageLayer})
	dir := filepath.Join(t.TempDir(), "templates")
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			s := Open(dir, Options{})
			if _, err := s.Pull(t.Context(), h.host+"/web:1", PullOptions{Insecure: true, Name: fmt.Sprintf("t%d", i/2)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	images, err := Open(dir, Options{}).List()
	if err != nil || len(images) != 3 {
		t.Errorf("there are %d (%v)", len(images), err)
	}
}
