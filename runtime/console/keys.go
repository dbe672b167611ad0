package console

// escape is the byte that the Esc key sends, detach what Ctrl-] does.
const (
	escape = 0x1b
	detach = 0x1d
)

// keys finds the keys that detach in the input: Ctrl-] anywhere, and, as in
// vzctl, Esc and then a dot at the start of a line.
type keys struct {
	inLine  bool // something has been typed since the last Enter
	escaped bool // an Esc at the start of a line is held back
}

// filter returns what of p is for the VPS, and whether the user detaches. An
// Esc that may become Esc-dot is held back until the next byte, or release.
func (k *keys) filter(p []byte) (pass []byte, leave bool) {
	for _, b := range p {
		if b == detach {
			return pass, true
		}
		if k.escaped {
			k.escaped = false
			if b == '.' {
				return pass, true
			}
			pass = append(pass, escape)
			k.inLine = true
		}
		if b == escape && !k.inLine {
			k.escaped = true
			continue
		}
		pass = append(pass, b)
		k.inLine = b != '\r' && b != '\n'
	}
	return pass, false
}

// release returns the Esc that is held back, if one is: no dot came in time.
func (k *keys) release() []byte {
	if !k.escaped {
		return nil
	}
	k.escaped, k.inLine = false, true
	return []byte{escape}
}
