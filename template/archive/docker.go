package archive

import (
	"encoding/json"
	"slices"
	"strings"

	"croft/internal/fail"
	"croft/template/images"
	"croft/template/layer"
)

// DockerManifest lists the images in an archive of docker save
// (https://github.com/moby/docker-image-spec, "Combined Image JSON").
const DockerManifest = "manifest.json"

// A DockerImage is an image in DockerManifest.
type DockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// ChooseDocker returns an image of an archive of docker save: the one with the tag or the
// config's name image, or the only one if image is "".
func ChooseDocker(t *layer.Tree, image string) (DockerImage, error) {
	var all []DockerImage
	if err := decodeFile(t, DockerManifest, &all); err != nil {
		return DockerImage{}, err
	}
	names := map[string]DockerImage{}
	for _, im := range all {
		for _, tag := range append(im.RepoTags, strings.TrimSuffix(im.Config, ".json")) {
			names[tag] = im
		}
	}
	if image == "" && len(all) == 1 {
		names = map[string]DockerImage{"": all[0]}
	}
	return chooseByName(names, image)
}

// HasSeveral reports whether err says that there are several images, and none was chosen.
func HasSeveral(err error) bool { return fail.HintOf(err) == "--image chooses one" }

// chooseByName returns names[name], or the only value if name is "". If that is
// not possible, the error lists the names.
func chooseByName[T any](names map[string]T, name string) (T, error) {
	var none T
	if found, ok := names[name]; ok && (name != "" || len(names) == 1) {
		return found, nil
	}
	var all []string
	for n := range names {
		if n != "" {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	switch {
	case len(names) == 0:
		return none, images.BadImage("it contains no image")
	case name == "" && len(names) == 1:
		return names[all[0]], nil
	case name == "":
		return none, fail.New(fail.Usage, "it contains several images: %s", strings.Join(all, ", ")).WithHint("--image chooses one")
	}
	return none, fail.New(fail.NotFound, "it contains no image %q, only %s", name, strings.Join(all, ", "))
}

// decodeFile decodes the small JSON file name of t.
func decodeFile(t *layer.Tree, name string, into any) error {
	b, _, err := t.ReadFile(name, images.MaxJSON)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return images.BadImage("its %s: %w", name, err)
	}
	return nil
}
