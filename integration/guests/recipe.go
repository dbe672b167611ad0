package guests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// directory is where the template has the packages.
const directory = "/srv/packages"

// Template returns the name of the template that has the packages of programs, and
// the recipe for it. Other packages give another name. VPSs of the template need no
// network to install the packages.
func Template(programs []Program) (name, recipe string) {
	sets := ""
	for _, p := range programs {
		if len(p.Packages) == 0 {
			continue
		}
		sets += " \\\n        " + "'" + strings.Join(p.Packages, " ") + "'"
	}
	script := fmt.Sprintf(recipeText, sets)
	sum := sha256.Sum256([]byte(script))
	variant := "guests-" + hex.EncodeToString(sum[:4])
	return "debian-13-" + variant, "variant: " + variant + "\n" + script
}

// The recipe downloads each set of packages with what they depend on, and makes an
// index for apt. At the time of pre-install there is no apt, and at the time of
// post-install the recipes have emptied resolv.conf.
const recipeText = `extends: debian-13
description: Debian 13 with packages to be installed inside, for the tests
scripts:
  pre-install: |
    mkdir -p ` + directory + `
    cp /etc/resolv.conf ` + directory + `/
  post-install: |
    cd ` + directory + `
    cat resolv.conf >/etc/resolv.conf
    rm resolv.conf
    apt-get update
    for set in%s; do
        apt-get --quiet --yes --no-install-recommends --download-only -o Dir::Cache::archives="$PWD" install $set
    done
    : >/etc/resolv.conf
    rm -rf lock partial
    for p in *.deb; do
        dpkg-deb --field "$p"
        echo "Filename: $p"
        echo "Size: $(stat -c %%s "$p")"
        echo "SHA256: $(sha256sum "$p" | cut -d ' ' -f 1)"
        echo
    done >Packages
    echo 'deb [trusted=yes] file:` + directory + ` ./' >sources.list
`
