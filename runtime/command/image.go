package command

import (
	"strings"

	"croft/internal/fail"
	"croft/internal/inside"
	"croft/runtime/holder"
	"croft/runtime/inits"
	"croft/template"
)

// OfImage returns what croft's own init runs in a VPS whose image has no init,
// and the variables to add to the environment of the image. The files of the
// VPS are at root. It is fail.State if the user of the image is missing there.
func OfImage(image template.Image, root *inside.Root) (holder.Init, []string, error) {
	who, err := FindAccount(root, image.User)
	if err != nil {
		return holder.Init{}, nil, fail.New(fail.State, "its image: %w", err)
	}
	c := holder.Init{
		Args: image.Command(), Dir: ImageDir(image, root),
		UID: uint32(who.Uid), GID: uint32(who.Gid), Stop: int(inits.StopSignal(image.StopSignal)),
	}
	for _, g := range who.Sgids {
		c.Groups = append(c.Groups, uint32(g))
	}
	return c, []string{"HOME=" + who.Home}, nil
}

// ImageDir returns the directory in which the command of an image runs.
func ImageDir(image template.Image, root *inside.Root) string {
	if strings.HasPrefix(image.WorkingDir, "/") && root.IsDir(image.WorkingDir) {
		return image.WorkingDir
	}
	return "/"
}
