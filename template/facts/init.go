package facts

import (
	"croft/internal/initkind"
	"croft/template/layer"
)

// initOf returns the kind of init that the root filesystem t boots, or "" if it has
// no init.
func initOf(t *layer.Tree) initkind.Kind {
	for _, name := range initkind.Paths() {
		target, ok := t.RealName(name)
		if !ok {
			continue
		}
		switch kind := initkind.Of(target); kind {
		case initkind.Busybox:
			return openRCOr(t, kind)
		case initkind.OpenRC:
			return initkind.AnyOpenRC
		case initkind.SysV, initkind.Other:
			switch {
			case t.Exists("etc/init/rc-sysinit.conf"):
				return initkind.Upstart
			case t.Exists("etc/inittab"):
				return openRCOr(t, initkind.SysV)
			}
			return initkind.Other
		default:
			return kind
		}
	}
	return ""
}

// openRCOr returns AnyOpenRC if t has OpenRC, because the init then runs OpenRC.
// Otherwise it returns kind.
func openRCOr(t *layer.Tree, kind initkind.Kind) initkind.Kind {
	if t.Exists("sbin/openrc") || t.Exists("usr/sbin/openrc") {
		return initkind.AnyOpenRC
	}
	return kind
}
