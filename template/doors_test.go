package template

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/backups"
	"croft/template/recipe"
	"croft/template/roottest"
	"croft/template/streams/imageserver"
	"croft/template/trust"
)

// A door is a way by which an image enters the store.
type door struct {
	by    trust.Transport
	ready func(r *room) (enter func() error) // does all that comes before, and returns what the policy decides about
	fake  bool                               // the file is no image: croft finds that out after it has asked the policy
}

// A room has what doors need.
type room struct {
	*judge
	*hub
	t *testing.T
}

// publishes puts an image into the registry whose files depend on text, and returns its reference.
func (r *room) publishes(text string) string {
	r.t.Helper()
	r.publish(r.t, "team/web:1", published{layers: [][]byte{roottest.Rootfs(r.t, roottest.File("etc/text", text))}, kind: oci.MediaTypeImageLayer})
	return r.host + "/team/web:1"
}

func (r *room) file(name string, b []byte) string {
	r.t.Helper()
	r.write(r.t, name, b)
	return filepath.Join(r.dir, name)
}

func (r *room) imports(b []byte) func() error {
	return func() error {
		_, err := r.Import(r.t.Context(), "a", bytes.NewReader(b), ImportOptions{})
		return err
	}
}

func (r *room) importsDir(dir string) func() error {
	return func() error {
		_, err := r.Import(r.t.Context(), "a", strings.NewReader(""), ImportOptions{Dir: dir})
		return err
	}
}

func (r *room) ensures(text string) func() error {
	return func() error { _, err := r.Ensure(r.t.Context(), text); return err }
}

func (r *room) updates(name string) func() error {
	return func() error {
		_, err := r.Refresh(r.t.Context(), name, RefreshOptions{Insecure: true})
		return err
	}
}

// tls serves h with a certificate that the store trusts, and returns its URL.
func (r *room) tls(h http.Handler) string {
	r.t.Helper()
	server := httptest.NewTLSServer(h)
	r.t.Cleanup(server.Close)
	r.write(r.t, "certs/"+server.Listener.Addr().String()+"/ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return server.URL
}

// root is an archive with the files of a system, which depend on text.
func (r *room) root(text string) []byte {
	r.t.Helper()
	return roottest.Rootfs(r.t, roottest.File("etc/text", text))
}

// layout returns a directory with an image, and an archive of it.
func (r *room) layout() (dir string, packed []byte) {
	r.t.Helper()
	dir = layoutDir(r.t, func(*oci.Index, *oci.Manifest) {})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	roottest.Must(r.t, w.AddFS(os.DirFS(dir)))
	roottest.Must(r.t, w.Close())
	return dir, b.Bytes()
}

func (r *room) docker() []byte {
	return dockerArchive(r.t, r.root("x"), func(all []archive.DockerImage, _ *oci.Image) []archive.DockerImage { return all })
}

// unpacked returns a directory with the files of an archive.
func (r *room) unpacked(b []byte) string {
	r.t.Helper()
	dir := r.t.TempDir()
	in := tar.NewReader(bytes.NewReader(b))
	for h, err := in.Next(); err == nil; h, err = in.Next() {
		if h.Typeflag != tar.TypeReg {
			continue
		}
		var text bytes.Buffer
		_, err := text.ReadFrom(in)
		roottest.Must(r.t, err)
		roottest.Must(r.t, os.MkdirAll(filepath.Dir(filepath.Join(dir, h.Name)), 0o755))
		roottest.Must(r.t, os.WriteFile(filepath.Join(dir, h.Name), text.Bytes(), 0o644))
	}
	return dir
}

// doors are all ways into the store but those that no policy is about: recipes, busybox, directories of
// containers of other tools, and moves between hosts.
var doors = map[string]door{
	"template pull of a registry": {by: trust.Docker, ready: func(r *room) func() error {
		ref := r.publishes("x")
		return func() error { _, err := r.Pull(r.t.Context(), ref, PullOptions{Insecure: true}); return err }
	}},
	"--template REFERENCE": {by: trust.Docker, ready: func(r *room) func() error {
		_, name, _ := strings.Cut(r.publishes("x"), "/")
		return r.ensures(strings.TrimPrefix(r.tls(r.inner), "https://") + "/" + name)
	}},
	"template update of a registry": {by: trust.Docker, ready: func(r *room) func() error {
		_, err := r.Pull(r.t.Context(), r.publishes("x"), PullOptions{Insecure: true})
		roottest.Must(r.t, err)
		r.publishes("y")
		return r.updates("web-1")
	}},
	"create --from REFERENCE": {by: trust.Docker, ready: func(r *room) func() error {
		s := newStore(r.t, Options{})
		base := mustImport(r.t, s, "base", roottest.Rootfs(r.t), ImportOptions{})
		ref := r.host + "/backups/web:1"
		pushed(r.t, s, base, frozen(r.t, s, base, func(string) {}), ref)
		var im Image
		return func() error {
			return r.PullBackup(r.t.Context(), ref, PullOptions{Insecure: true}, use(&im, nil))
		}
	}},
	"template pull of an image server": {by: trust.Images, ready: func(r *room) func() error {
		imageServer(r.t, r.Store, anImage(r.t, "1", "x"))
		return func() error { _, err := pullLab(r.t, r.Store, "test/7", PullOptions{}); return err }
	}},
	"--template SERVER:IMAGE": {by: trust.Images, ready: func(r *room) func() error {
		server, p := &imageserver.Server{}, anImage(r.t, "1", "x")
		p.Arch = recipe.DebianName(thisArch)
		server.Serve(p)
		roottest.Must(r.t, r.AddRemote(r.t.Context(), Remote{Name: "lab", URL: r.tls(server)}, false))
		return r.ensures("lab:test/7")
	}},
	"template update of an image server": {by: trust.Images, ready: func(r *room) func() error {
		server := imageServer(r.t, r.Store, anImage(r.t, "1", "x"))
		im, err := pullLab(r.t, r.Store, "test/7", PullOptions{})
		roottest.Must(r.t, err)
		server.Serve(anImage(r.t, "2", "y"))
		return r.updates(im.Name)
	}},
	"template import of a root":     {by: trust.Tarball, ready: func(r *room) func() error { return r.imports(r.root("x")) }},
	"template import of a squashfs": {by: trust.Tarball, ready: func(r *room) func() error { return r.imports(bytes.Repeat([]byte("hsqs"), 1<<12)) }, fake: true},
	"template import of a disk": {by: trust.Tarball, ready: func(r *room) func() error {
		return r.imports(append([]byte("QFI\xfb"), bytes.Repeat([]byte("x"), 1<<12)...))
	}, fake: true},
	"template import of an archive of Incus": {by: trust.Tarball, ready: func(r *room) func() error {
		return r.imports(roottest.Archive(r.t, roottest.File("metadata.yaml", "architecture: x86_64\n"), roottest.Dir("rootfs/"), roottest.Dir("rootfs/etc/"), roottest.Dir("rootfs/bin/"), roottest.Dir("rootfs/usr/"), roottest.Dir("rootfs/sbin/")))
	}},
	"template import of an OCI layout": {by: trust.OCI, ready: func(r *room) func() error {
		dir, _ := r.layout()
		return r.importsDir(dir)
	}},
	"template import of an OCI archive": {by: trust.OCIArchive, ready: func(r *room) func() error {
		_, packed := r.layout()
		return r.imports(packed)
	}},
	"template import of docker save":                  {by: trust.DockerArchive, ready: func(r *room) func() error { return r.imports(r.docker()) }},
	"template import of docker save that is unpacked": {by: trust.DockerArchive, ready: func(r *room) func() error { return r.importsDir(r.unpacked(r.docker())) }},
	"--template FILE":                                 {by: trust.Tarball, ready: func(r *room) func() error { return r.ensures(r.file("system.tar", r.root("x"))) }},
	"--template FILE of docker save":                  {by: trust.DockerArchive, ready: func(r *room) func() error { return r.ensures(r.file("saved.tar", r.docker())) }},
	"--template oci:DIR": {by: trust.OCI, ready: func(r *room) func() error {
		dir, _ := r.layout()
		return r.ensures("oci:" + dir)
	}},
	"--template oci-archive:FILE": {by: trust.OCIArchive, ready: func(r *room) func() error {
		_, packed := r.layout()
		return r.ensures("oci-archive:" + r.file("image.tar", packed))
	}},
	"--template FILE that has changed": {by: trust.Tarball, ready: func(r *room) func() error {
		file := r.file("system.tar", r.root("x"))
		roottest.Must(r.t, r.ensures(file)())
		r.file("system.tar", r.root("another text"))
		return r.ensures(file)
	}},
	"template update of a file": {by: trust.Tarball, ready: func(r *room) func() error {
		file := r.file("system.tar", r.root("x"))
		im, err := r.Ensure(r.t.Context(), file)
		roottest.Must(r.t, err)
		r.file("system.tar", r.root("another text"))
		return r.updates(im.Name)
	}},
	"import of a backup": {by: trust.OCIArchive, ready: func(r *room) func() error {
		s := newStore(r.t, Options{})
		base := mustImport(r.t, s, "base", roottest.Rootfs(r.t), ImportOptions{})
		file := r.file("web.tar", backupOf(r.t, s, base, frozen(r.t, s, base, func(string) {}), backups.CompressNone))
		return func() error { return r.AcceptBackup(file) } // the manager asks this first
	}},
	"adopt of an archive": {by: trust.Tarball, ready: func(r *room) func() error {
		return func() error {
			return r.ImportSystem(r.t.Context(), System{Name: "y", Archive: bytes.NewReader(r.root("x"))}, func(Image) error { return nil }, noUsers)
		}
	}},
}

// Every door asks the policy, with the transport that the documentation names. What is refused leaves nothing.
func TestPolicyOfEveryDoor(t *testing.T) {
	roottest.NeedRoot(t)
	const accept, reject = "insecureAcceptAnything", "reject"
	for name, d := range doors {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				all, here string // for all transports, and for that of the door
				enters    bool
			}{
				{reject, reject, false},
				{accept, reject, false},
				{reject, "sigstoreSigned, keyPath: DIR/team.pub", false},
				{reject, accept, true},
			} {
				if d.by == trust.Images {
					c.here = strings.Replace(c.here, "sigstoreSigned, keyPath: DIR/team.pub", reject, 1)
				}
				r := &room{newJudge(t), newHub(t), t}
				r.Store = newStore(t, Options{Policy: r.Store.policy(), CertsDir: filepath.Join(r.dir, "certs")})
				enter := d.ready(r)
				roottest.Must(t, r.Make())
				before := files(t, r.Store)
				r.policy(t, "default: [{type: "+c.all+"}]\ntransports: {"+string(d.by)+": {'': [{type: "+c.here+"}]}}")
				err := enter()
				switch {
				case c.enters && d.fake:
					if err == nil || fail.Is(err, fail.Permission) {
						t.Errorf("%s, and %s here: %v", c.all, c.here, err)
					}
				case c.enters:
					if err != nil {
						t.Errorf("%s, and %s here: %v", c.all, c.here, err)
					}
				case !fail.Is(err, fail.Permission) || !strings.Contains(err.Error(), "policy.yaml refuses"):
					t.Errorf("%s, and %s here: %v", c.all, c.here, err)
				case files(t, r.Store) != before:
					t.Errorf("%s, and %s here: left\n%s and before there was\n%s", c.all, c.here, files(t, r.Store), before)
				}
			}
		})
	}
}
