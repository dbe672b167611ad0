package main

import (
	"syscall"
	"unsafe"
)

// nftables over netlink (linux/netlink.h, linux/netfilter/nfnetlink.h, nf_tables.h).
// Messages and attributes begin with their length. Numbers are in the host's order, those
// of counters in the network's.
const (
	netlinkNetfilter = 12 // NETLINK_NETFILTER

	messageError  = 2
	messageDone   = 3
	ofTables      = 10 << 8 // NFNL_SUBSYS_NFTABLES
	newRule       = ofTables | 6
	getRule       = ofTables | 7
	newSetElement = ofTables | 12
	getSetElement = ofTables | 13

	flagRequest = 1
	flagMulti   = 2
	flagDump    = 0x300

	headSize     = 16 + 4 // nlmsghdr, nfgenmsg
	attrHeadSize = 4
	attrType     = 0x3fff
	attrNested   = 0x8000

	// Attributes: of a set's elements and of a rule,
	attrTable    = 1
	attrName     = 2 // of the set or chain
	attrElements = 3
	attrRuleExpr = 4
	// in lists of elements and expressions,
	attrItem = 1
	// of an element,
	attrKey         = 1
	attrElementExpr = 7
	// of data, an expression and a counter.
	attrValue    = 1
	attrExprName = 1
	attrExprData = 2
	attrPackets  = 2

	linkSize = 16 // IFNAMSIZ
)

// A netfilter asks the kernel for counters of nftables.
type netfilter struct {
	fd      int
	request [512]byte
	size    int
	answer  [8192]byte
}

// open reports whether the kernel can be asked. After that, close is to be called.
func (n *netfilter) open() bool {
	var err error
	n.fd, err = syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, netlinkNetfilter)
	return err == nil
}

func (n *netfilter) close() {
	syscall.Close(n.fd)
	forget(n.answer[:])
}

// packets returns the packets that were counted for the element of link in the set name,
// or with no link by the rules of the chain name; 0 if there is none. The kernel has
// answered when write(2) returns.
func (n *netfilter) packets(family byte, table, name, link []byte) uint64 {
	if len(table)+len(name) > 256 || len(link) >= linkSize {
		return 0
	}
	if len(link) > 0 {
		n.ofElement(family, table, name, link)
	} else {
		n.begin(getRule, flagRequest|flagDump, family)
		n.text(attrTable, table)
		n.text(attrName, name)
	}
	put(n.request[:], uint32(n.size))
	if _, err := syscall.Write(n.fd, n.request[:n.size]); err != nil {
		return 0
	}
	sum := uint64(0)
	for {
		got, err := syscall.Read(n.fd, n.answer[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || got <= 0 {
			return sum
		}
		more, last := counted(n.answer[:got])
		if sum += more; last {
			return sum
		}
	}
}

// ofElement makes the request for one element of a set of links.
func (n *netfilter) ofElement(family byte, table, name, link []byte) {
	n.begin(getSetElement, flagRequest, family)
	n.text(attrTable, table)
	n.text(attrName, name)
	elements := n.nest(attrElements)
	item := n.nest(attrItem)
	key := n.nest(attrKey)
	value := n.attribute(attrValue)
	clear(n.request[n.size : n.size+linkSize])
	copy(n.request[n.size:], link)
	n.size += linkSize
	for _, at := range [...]int{value, key, item, elements} {
		n.end(at)
	}
}

// begin begins a request.
func (n *netfilter) begin(kind, flags uint16, family byte) {
	clear(n.request[:headSize])
	put(n.request[4:], kind)
	put(n.request[6:], flags)
	n.request[16] = family
	n.size = headSize
}

// attribute begins an attribute, and returns where it is.
func (n *netfilter) attribute(kind uint16) (at int) {
	at = n.size
	put(n.request[at+2:], kind)
	n.size += attrHeadSize
	return at
}

func (n *netfilter) nest(kind uint16) (at int) { return n.attribute(kind | attrNested) }

// end ends the attribute at this place, which has a multiple of 4 bytes or is text.
func (n *netfilter) end(at int) {
	put(n.request[at:], uint16(n.size-at))
	for n.size%4 != 0 {
		n.request[n.size] = 0
		n.size++
	}
}

// text is an attribute of text, which ends with a zero.
func (n *netfilter) text(kind uint16, text []byte) {
	at := n.attribute(kind)
	n.size += copy(n.request[n.size:], text)
	n.request[n.size] = 0
	n.size++
	n.end(at)
}

// counted adds up the packets of the counters in an answer, and reports whether there is
// no more of it.
func counted(answer []byte) (sum uint64, last bool) {
	for len(answer) >= headSize {
		size := int(get[uint32](answer))
		if size < headSize || size > len(answer) {
			return sum, true
		}
		body := answer[headSize:size]
		switch get[uint16](answer[4:]) {
		case messageError, messageDone:
			return sum, true
		case newSetElement:
			for list := attr(body, attrElements); len(list) > 0; {
				var item []byte
				_, item, list = nextAttr(list)
				sum += counter(attr(item, attrElementExpr))
			}
		case newRule:
			for list := attr(body, attrRuleExpr); len(list) > 0; {
				var item []byte
				_, item, list = nextAttr(list)
				sum += counter(item)
			}
		}
		if get[uint16](answer[6:])&flagMulti == 0 {
			return sum, true
		}
		answer = answer[min((size+3)&^3, len(answer)):]
	}
	return sum, false
}

// counter returns the packets of an expression; 0 if it is no counter.
func counter(expr []byte) uint64 {
	if string(attr(expr, attrExprName)) != "counter\x00" {
		return 0
	}
	packets := uint64(0)
	for _, b := range attr(attr(expr, attrExprData), attrPackets) {
		packets = packets<<8 | uint64(b)
	}
	return packets
}

// attr returns the content of the first attribute of this type; nil if there is none.
func attr(list []byte, kind uint16) []byte {
	for len(list) > 0 {
		is, content, rest := nextAttr(list)
		if is == kind {
			return content
		}
		list = rest
	}
	return nil
}

// nextAttr returns the first attribute of a list, and the others.
func nextAttr(list []byte) (kind uint16, content, rest []byte) {
	if len(list) < attrHeadSize {
		return 0, nil, nil
	}
	size := int(get[uint16](list))
	if size < attrHeadSize || size > len(list) {
		return 0, nil, nil
	}
	return get[uint16](list[2:]) & attrType, list[attrHeadSize:size], list[min((size+3)&^3, len(list)):]
}

// put writes a number in the host's order.
func put[T uint16 | uint32](to []byte, n T) {
	_ = to[unsafe.Sizeof(n)-1]
	*(*T)(unsafe.Pointer(&to[0])) = n
}

// get reads one.
func get[T uint16 | uint32](from []byte) (n T) {
	_ = from[unsafe.Sizeof(n)-1]
	return *(*T)(unsafe.Pointer(&from[0]))
}
