package templates

import (
	"fmt"
	"strings"
	"testing"

	"croft/runtime"
)

// A recipe whose template is built, and the built-in template, are in the list once.
func TestListWithRecipes(t *testing.T) {
	images := []runtime.TemplateInfo{{Name: "debian-12", Recipe: "debian-12"}, {Name: "debian-13", Former: true, Digest: "sha256:01"}, {Name: "web"}}
	recipes := []runtime.RecipeInfo{{Name: "busybox", Description: "small"}, {Name: "debian-12", Description: "Debian 12"}, {Name: "debian-13", Description: "Debian 13"}, {Name: "bad", Error: "line 1"}}
	var got []string
	for _, l := range withRecipes(images, recipes) {
		got = append(got, fmt.Sprintf("%s %s %s %t", l.Name, l.State, l.Description, l.Created != nil))
	}
	want := "busybox built-in small false|debian-12 ready Debian 12 true|debian-13 former  true|debian-13 recipe Debian 13 false|web ready  true"
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("%s", s)
	}
	images = append(images, runtime.TemplateInfo{Name: "busybox", Recipe: "busybox"})
	all := withRecipes(images, nil)
	if len(all) != 4 || all[0].State != "ready" || all[0].Layers != nil {
		t.Errorf("%+v", all)
	}
}
