package main

import "testing"

// attribute returns an attribute of netlink, with what it contains.
func attribute(kind uint16, content ...[]byte) []byte {
	a := make([]byte, attrHeadSize)
	for _, c := range content {
		a = append(a, c...)
	}
	put(a, uint16(len(a)))
	put(a[2:], kind)
	for len(a)%4 != 0 {
		a = append(a, 0)
	}
	return a
}

// answer returns a message of the kernel.
func answer(kind, flags uint16, content ...[]byte) []byte {
	m := make([]byte, headSize)
	for _, c := range content {
		m = append(m, c...)
	}
	put(m, uint32(len(m)))
	put(m[4:], kind)
	put(m[6:], flags)
	return m
}

func expression(name string, packets byte) [][]byte {
	return [][]byte{attribute(attrExprName, []byte(name+"\x00")), attribute(attrExprData|attrNested,
		attribute(1, []byte{0, 0, 0, 0, 0, 0, 9, 9}), attribute(attrPackets, []byte{0, 0, 0, 0, 0, 0, 1, packets}))}
}

func TestCounted(t *testing.T) {
	element := answer(newSetElement, 0, attribute(attrTable, []byte("croft\x00")), attribute(attrElements|attrNested,
		attribute(attrItem|attrNested, attribute(attrKey, make([]byte, 20)), attribute(attrElementExpr|attrNested, expression("counter", 7)...))))
	rule := answer(newRule, flagMulti, attribute(attrRuleExpr|attrNested,
		attribute(attrItem|attrNested, expression("limit", 9)...), attribute(attrItem|attrNested, expression("counter", 2)...)))
	for name, c := range map[string]struct {
		answer []byte
		sum    uint64
		last   bool
	}{
		"element":      {element, 263, true},
		"rules":        {append(append([]byte{}, rule...), rule...), 516, false},
		"end of rules": {answer(messageDone, flagMulti, []byte{0, 0, 0, 0}), 0, true},
		"no element":   {answer(messageError, 0, make([]byte, 20)), 0, true},
		"nothing":      {nil, 0, false},
	} {
		if sum, last := counted(c.answer); sum != c.sum || last != c.last {
			t.Errorf("%s: %d, %v", name, sum, last)
		}
	}
	// The kernel answers in whole, and a part is no reason to fail.
	for _, whole := range [][]byte{element, rule} {
		for n := range whole {
			part := append([]byte{}, whole[:n]...)
			if n >= 4 {
				put(part, uint32(n))
			}
			counted(part)
		}
	}
}

func TestRequest(t *testing.T) {
	var n netfilter
	n.ofElement(7, []byte("croft"), []byte("dropped-source"), []byte("cr-web-abcd"))
	body := n.request[headSize:n.size]
	if got := string(attr(body, attrTable)) + string(attr(body, attrName)); got != "croft\x00dropped-source\x00" {
		t.Errorf("of %q", got)
	}
	key := attr(attr(attr(attr(body, attrElements), attrItem), attrKey), attrValue)
	if string(key) != "cr-web-abcd\x00\x00\x00\x00\x00" {
		t.Errorf("key %q", key)
	}
	if n.request[16] != 7 || get[uint16](n.request[4:]) != getSetElement {
		t.Errorf("head % x", n.request[:headSize])
	}
}

func TestDropCounts(t *testing.T) {
	var d dropped
	a, b := d.find([]byte("a")), d.find([]byte("b"))
	if a == b || d.find([]byte("a")) != a {
		t.Error("lines share a count")
	}
	for i := range 2 * maxDropCounts {
		d.find([]byte{byte(i), byte(i >> 8), 'x'})
	}
	if d.find([]byte("b")) != b || d.find([]byte("one more")) != nil {
		t.Error("too many lines")
	}
}
