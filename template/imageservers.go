package template

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"croft/internal/atomicfile"
	"croft/internal/fail"
	"croft/template/archive"
	"croft/template/blobs"
	"croft/template/images"
	"croft/template/layer"
	"croft/template/recipe"
	"croft/template/streams"
)

// pullImage is Pull of an image of an image server.
func (s *Store) pullImage(ctx context.Context, remote Remote, at streams.Reference, o PullOptions) (Image, error) {
	old, err := s.pullTarget(o, at.String())
	if err != nil {
		return Image{}, err
	}
	keys, err := s.policy().Server(remote.Name, remote.URL)
	if err != nil {
		return Image{}, err
	}
	im, server, err := s.findImage(ctx, remote, at, o.Architecture, o.Insecure, keys)
	if err != nil {
		return Image{}, err
	}
	if old.Source == at.String() && old.SourceDigest == im.Digest.String() {
		return old, nil
	}
	from := blobs.NewDownloads(s.Store, server.Files(im))
	defer from.Close()
	st, err := s.NewStage(ctx)
	if err != nil {
		return Image{}, err
	}
	defer st.Remove()
	d, err := s.stageStream(ctx, st, from, im, o)
	if err != nil {
		return Image{}, err
	}
	d.Manifest.Annotations = map[string]string{images.AnnotationSource: at.String(), images.AnnotationSourceDigest: im.Digest.String()}
	pulled, err := s.Publish(ctx, st, d)
	if err == nil {
		from.Remove()
	}
	return pulled, err
}

// findImage returns the newest image of an image server for arch.
// keys are OpenPGP keys: of each element one must have signed the catalogue.
func (s *Store) findImage(ctx context.Context, remote Remote, at streams.Reference, arch string, insecure bool, keys [][]byte) (streams.Image, *streams.Server, error) {
	server, err := s.connect(remote, insecure, keys)
	if err != nil {
		return streams.Image{}, nil, err
	}
	s.Report(Update{Step: "reading the catalogue of " + remote.Name})
	all, err := server.Images(ctx)
	if err != nil {
		return streams.Image{}, nil, err
	}
	im, err := streams.Find(all, at.Image, recipe.DebianName(arch))
	if fail.Is(err, fail.NotFound) {
		err = fail.New(fail.NotFound, "server %s has %w", remote.Name, err).WithHint("croft template search %s: %s", remote.Name, strings.SplitN(at.Image, "/", 2)[0])
	}
	return im, server, err
}

// stageStream downloads an image of an image server, and stages it.
func (s *Store) stageStream(ctx context.Context, st *images.Stage, from *blobs.Downloads, im streams.Image, o PullOptions) (images.Staged, error) {
	metaFile, err := from.Fetch(ctx, st, blobOf(im.Meta))
	if err != nil {
		return images.Staged{}, err
	}
	rootFile := metaFile
	if im.Root.Kind != "" {
		if rootFile, err = from.Fetch(ctx, st, blobOf(im.Root)); err != nil {
			return images.Staged{}, err
		}
		if err := archive.CheckCombined(im.Digest, metaFile, rootFile); err != nil {
			return images.Staged{}, err
		}
	}
	meta, err := archive.ReadMetadata(metaFile)
	if err != nil {
		return images.Staged{}, err
	}
	budget := layer.NewBudget(o.MaxSize)
	s.Report(Update{Step: "unpacking " + o.Name})
	root, err := s.stageRoot(ctx, st, rootFile, im, budget)
	if err != nil {
		return images.Staged{}, err
	}
	layers, err := s.withStatic(ctx, st, root, meta, budget)
	if err != nil {
		return images.Staged{}, err
	}
	return s.describeStream(st, layers, im, meta.Metadata, o)
}

// describeStream stages the config and the manifest of an image with these layers.
func (s *Store) describeStream(st *images.Stage, layers []images.Layer, im streams.Image, meta streams.Metadata, o PullOptions) (images.Staged, error) {
	found, err := s.describeNew(st, layers)
	if err != nil {
		return images.Staged{}, err
	}
	found.Name, found.Architecture, found.Variant = o.Name, o.Architecture, im.Variant
	if found.Created = meta.Created(); found.Created.IsZero() {
		found.Created, _ = time.Parse("20060102", im.Serial[:min(len(im.Serial), 8)])
	}
	blobs := found.SetLayers(layers)
	return st.Image(o.Name, images.ConfigOf(found), blobs)
}

// blobOf returns the descriptor of a file of an image server.
func blobOf(f streams.File) oci.Descriptor { return oci.Descriptor{Digest: f.Digest, Size: f.Size} }

// stageRoot stages the root filesystem of an image, whose format im says.
func (s *Store) stageRoot(ctx context.Context, st *images.Stage, file string, im streams.Image, budget *layer.Budget) (images.Layer, error) {
	switch im.Root.Kind {
	case streams.Squashfs:
		return s.StageWritten(ctx, st, nil, budget, func(w io.Writer) error { return archive.PackSquashfs(ctx, w, file) })
	case streams.Tar:
		f, err := os.Open(file)
		if err != nil {
			return images.Layer{}, layer.HostError(err)
		}
		defer f.Close()
		plain, err := layer.Decompress(f)
		if err != nil {
			return images.Layer{}, layer.ArchiveFailure(err)
		}
		defer plain.Close()
		return s.StageLayer(ctx, st, plain, nil, budget)
	}
	return s.StageWritten(ctx, st, nil, budget, func(w io.Writer) error { return archive.CopyRoot(w, file) })
}

// A Remote is an image server that references name: NAME:IMAGE.
type Remote struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Key     string `json:"key"` // OpenPGP keys, one of which signs its catalogue; "" is that it need not be signed
	Builtin bool   `json:"builtin"`
}

// CheckRemoteName returns fail.Usage for a name that no image server may have.
func CheckRemoteName(name string) error { return streams.CheckRemoteName(name) }

// builtinRemotes are servers that users need not add. The one of the Linux Containers
// project has images of most distributions.
var builtinRemotes = []Remote{{Name: "images", URL: "https://images.linuxcontainers.org", Builtin: true}}

// Check returns fail.Usage if the name, the URL or the keys are invalid.
func (r Remote) Check() error {
	if err := streams.CheckRemoteName(r.Name); err != nil {
		return err
	}
	if _, err := streams.ParseURL(r.URL); err != nil {
		return err
	}
	if r.Key != "" {
		return streams.CheckKeys([]byte(r.Key))
	}
	return nil
}

// Remotes returns the image servers sorted by name: those that were added, and those of
// the binary that have no other address.
func (s *Store) Remotes() ([]Remote, error) {
	all, err := s.addedRemotes()
	if err != nil {
		return nil, err
	}
	for _, r := range builtinRemotes {
		if !slices.ContainsFunc(all, r.sameName) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Remote) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

func (r Remote) sameName(o Remote) bool { return r.Name == o.Name }

func (s *Store) remotesFile() string { return s.Path("remotes.json") }

// addedRemotes reads the servers that were added.
func (s *Store) addedRemotes() ([]Remote, error) {
	text, err := os.ReadFile(s.remotesFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []Remote
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return nil, fail.New(fail.State, "read %s: %w", s.remotesFile(), err)
	}
	return all, nil
}

// AddRemote records an image server. A name that exists is fail.Taken, unless replace is
// set. An invalid one is fail.Usage. It does not connect to the server.
func (s *Store) AddRemote(ctx context.Context, r Remote, replace bool) error {
	if err := r.Check(); err != nil {
		return err
	}
	return s.changeRemotes(ctx, func(all []Remote) ([]Remote, error) {
		taken := slices.ContainsFunc(all, r.sameName) || slices.ContainsFunc(builtinRemotes, r.sameName)
		if taken && !replace {
			return nil, fail.New(fail.Taken, "an image server %q exists; --replace changes it", r.Name).WithHint("croft template remote list")
		}
		return append(slices.DeleteFunc(all, r.sameName), r), nil
	})
}

// RemoveRemote forgets an image server. Templates that were pulled from it stay. One of the
// binary gets its own address again; if it has that, it is fail.State. A missing one is
// fail.NotFound.
func (s *Store) RemoveRemote(ctx context.Context, name string) error {
	return s.changeRemotes(ctx, func(all []Remote) ([]Remote, error) {
		r := Remote{Name: name}
		switch {
		case slices.ContainsFunc(all, r.sameName):
			return slices.DeleteFunc(all, r.sameName), nil
		case slices.ContainsFunc(builtinRemotes, r.sameName):
			return nil, fail.New(fail.State, "image server %q is part of croft; template remote add --replace gives it another address", name)
		}
		return nil, noRemote(name)
	})
}

func noRemote(name string) error {
	return fail.New(fail.NotFound, "no image server %q", name).WithHint("croft template remote list")
}

// changeRemotes replaces the recorded servers by what change returns of them.
func (s *Store) changeRemotes(ctx context.Context, change func([]Remote) ([]Remote, error)) error {
	if err := s.Make(); err != nil {
		return err
	}
	unlock, err := s.Lock(ctx, images.StoreLock)
	if err != nil {
		return err
	}
	defer unlock()
	all, err := s.addedRemotes()
	if err != nil {
		return err
	}
	if all, err = change(all); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b Remote) int { return cmp.Compare(a.Name, b.Name) })
	if len(all) == 0 {
		if err := os.Remove(s.remotesFile()); !errors.Is(err, fs.ErrNotExist) {
			return layer.HostError(err)
		}
		return nil
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return layer.HostError(atomicfile.Replace(s.remotesFile(), 0o600, append(text, '\n')))
}

// remoteFor returns the server that a reference names, one of extra or of those that are
// recorded; ok is false if the text is a reference to no server.
func (s *Store) remoteFor(text string, extra []Remote) (_ Remote, _ streams.Reference, ok bool, err error) {
	ref, ok := streams.ParseReference(text)
	if !ok {
		return Remote{}, ref, false, nil
	}
	all, err := s.Remotes()
	if err != nil {
		return Remote{}, ref, false, err
	}
	for _, r := range slices.Concat(extra, all) {
		if r.Name == ref.Remote {
			return r, ref, true, nil
		}
	}
	return Remote{}, ref, false, nil
}

// connect prepares access to a server. Of each element of keys, too, one key must have signed
// its catalogue.
func (s *Store) connect(r Remote, insecure bool, keys [][]byte) (*streams.Server, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	o := streams.Options{Trust: s.trust(insecure), Cache: s.Path("catalogues"), Keys: keys}
	if r.Key != "" {
		o.Keys = append(slices.Clip(keys), []byte(r.Key))
	}
	return streams.Open(r.URL, o)
}

// A ServerImage is an image in the catalogue of an image server.
type ServerImage = streams.Image

// SearchOptions are optional settings of Search.
type SearchOptions struct {
	Architecture string   // OCI's name of it; "" is the host's, all each
	Insecure     bool     // also allow plain HTTP and certificates that cannot be verified
	Remotes      []Remote // more servers
}

// Search returns the images of the server with this name in which all words occur, sorted
// by name. A missing server is fail.NotFound.
func (s *Store) Search(ctx context.Context, remote string, words []string, o SearchOptions) ([]ServerImage, error) {
	r, _, ok, err := s.remoteFor(remote+":.", o.Remotes)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, noRemote(remote)
	}
	if err := s.Make(); err != nil { // for its cache
		return nil, err
	}
	server, err := s.connect(r, o.Insecure, nil)
	if err != nil {
		return nil, err
	}
	all, err := server.Images(ctx)
	if err != nil {
		return nil, err
	}
	architecture := recipe.DebianName(cmp.Or(o.Architecture, goruntime.GOARCH))
	if o.Architecture == "all" {
		architecture = ""
	}
	return streams.Search(all, words, architecture), nil
}
