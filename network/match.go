package network

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A filterRule is a rule as text for people and as expressions for the
// kernel, made side by side from the same parts.
type FilterRule []part

// A part is a match or a verdict.
type part struct {
	text  string
	exprs []expr.Any
}

func do(parts ...part) FilterRule { return parts }

// String returns the rule in the language of nft(8).
func (r FilterRule) String() string {
	words := make([]string, len(r))
	for i, p := range r {
		words[i] = p.text
	}
	return strings.Join(words, " ")
}

// Exprs returns the rule as the kernel's expressions.
func (r FilterRule) Exprs() []expr.Any {
	var out []expr.Any
	for _, p := range r {
		out = append(out, p.exprs...)
	}
	return out
}

// filterVersion counts changes of the expressions that the text does not show.
const filterVersion = 1

// mark is what tells this rule from an older or altered one: the comment
// that it carries in the kernel.
func (r FilterRule) Mark() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", filterVersion, r)
	return fmt.Sprintf("croft %016x", h.Sum64())
}

// A field is some bytes of a frame.
type field struct {
	text   string
	base   expr.PayloadBase
	offset uint32
	size   uint32
}

// Fields of Ethernet, ARP (RFC 826), IPv4 (RFC 791), IPv6 (RFC 8200), ICMP
// and neighbour discovery (RFC 4861). Offsets beyond the IPv6 header count
// from where the kernel found the upper protocol, extension headers skipped.
var (
	etherDest    = field{"ether daddr", expr.PayloadBaseLLHeader, 0, 6}
	etherSource  = field{"ether saddr", expr.PayloadBaseLLHeader, 6, 6}
	etherType    = field{"ether type", expr.PayloadBaseLLHeader, 12, 2}
	arpHead      = field{"@nh,0,48", expr.PayloadBaseNetworkHeader, 0, 6}
	arpSourceMAC = field{"arp saddr ether", expr.PayloadBaseNetworkHeader, 8, 6}
	arpSourceIP  = field{"arp saddr ip", expr.PayloadBaseNetworkHeader, 14, 4}
	arpDestIP    = field{"arp daddr ip", expr.PayloadBaseNetworkHeader, 24, 4}
	ip4Source    = field{"ip saddr", expr.PayloadBaseNetworkHeader, 12, 4}
	ip4Dest      = field{"ip daddr", expr.PayloadBaseNetworkHeader, 16, 4}
	ip4DestNet   = field{"@nh,128,8", expr.PayloadBaseNetworkHeader, 16, 1} // its first octet
	ip6Length    = field{"ip6 length", expr.PayloadBaseNetworkHeader, 4, 2}
	ip6Source    = field{"ip6 saddr", expr.PayloadBaseNetworkHeader, 8, 16}
	ip6Dest      = field{"ip6 daddr", expr.PayloadBaseNetworkHeader, 24, 16}
	udpPorts     = field{"udp", expr.PayloadBaseTransportHeader, 0, 4}
	icmp4Type    = field{"icmp type", expr.PayloadBaseTransportHeader, 0, 1}
	icmp6Type    = field{"icmpv6 type", expr.PayloadBaseTransportHeader, 0, 1}
	ndTarget     = field{"@th,64,128", expr.PayloadBaseTransportHeader, 8, 16}
	ndOption     = field{"@th,192,16", expr.PayloadBaseTransportHeader, 24, 2}
	ndOptionMAC  = field{"@th,208,48", expr.PayloadBaseTransportHeader, 26, 6}
)

// Registers: a name of a link takes the first sixteen bytes (NFT_REG_1), what
// is looked up with it follows (NFT_REG_2).
const (
	regName  = unix.NFT_REG_1
	regValue = unix.NFT_REG_2
)

// A link is the interface that a frame comes from or goes to.
type link struct {
	text string
	key  expr.MetaKey
}

var (
	iif = link{"iifname", expr.MetaKeyIIFNAME}
	oif = link{"oifname", expr.MetaKeyOIFNAME}
)

// reservedGroup matches 01:80:c2:00:00:00 to :0f, which bridges keep for
// themselves (IEEE 802.1Q, table 8-1).
func reservedGroup() part {
	return part{"ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00", []expr.Any{
		load(etherDest, regName),
		&expr.Bitwise{SourceRegister: regName, DestRegister: regName, Len: 6,
			Mask: []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xf0}, Xor: make([]byte, 6)},
		equal([]byte{0x01, 0x80, 0xc2, 0, 0, 0}),
	}}
}

// isGroup matches broadcast and multicast frames.
func isGroup() part {
	return part{"ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00", []expr.Any{
		load(etherDest, regName),
		&expr.Bitwise{SourceRegister: regName, DestRegister: regName, Len: 6,
			Mask: []byte{1, 0, 0, 0, 0, 0}, Xor: make([]byte, 6)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regName, Data: make([]byte, 6)},
	}}
}

// over matches traffic above a rate, in bytes per second.
func over(rate uint64, burst uint32) part {
	return part{fmt.Sprintf("limit rate over %d bytes/second burst %d bytes", rate, burst), []expr.Any{
		&expr.Limit{Type: expr.LimitTypePktBytes, Rate: rate, Over: true, Unit: expr.LimitTimeSecond, Burst: burst},
	}}
}

// member matches links that are in the set.
func member(l link, set string) part {
	return part{fmt.Sprintf("%s @%s", l.text, set), []expr.Any{
		&expr.Meta{Key: l.key, Register: regName},
		&expr.Lookup{SourceRegister: regName, SetName: set},
	}}
}

// fragmented matches packets with an IPv6 fragment header, including the first
// fragment.
func fragmented() part {
	return part{"exthdr frag exists", []expr.Any{
		&expr.Exthdr{DestRegister: regName, Type: unix.IPPROTO_FRAGMENT, Len: 1,
			Flags: unix.NFT_EXTHDR_F_PRESENT, Op: expr.ExthdrOpIpv6},
		equal([]byte{1}),
	}}
}

// l4protoKnown matches if the kernel found an upper protocol, whichever.
func l4protoKnown() part {
	return part{"meta l4proto >= 0", []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regName},
		&expr.Cmp{Op: expr.CmpOpGte, Register: regName, Data: []byte{0}},
	}}
}

// laterFragment matches packets with an IPv6 fragment header whose offset is
// not 0.
func laterFragment() part {
	return part{"frag frag-off != 0", []expr.Any{
		&expr.Exthdr{DestRegister: regName, Type: unix.IPPROTO_FRAGMENT, Offset: 2, Len: 2, Op: expr.ExthdrOpIpv6},
		&expr.Bitwise{SourceRegister: regName, DestRegister: regName, Len: 2, Mask: []byte{0xff, 0xf8}, Xor: make([]byte, 2)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regName, Data: []byte{0, 0}},
	}}
}

// upperInSight matches if the packet holds the first four bytes of its upper
// protocol, which no protocol has less than.
func upperInSight() part {
	return part{"@th,0,32 >= 0", []expr.Any{
		&expr.Payload{DestRegister: regName, Base: expr.PayloadBaseTransportHeader, Len: 4},
		&expr.Cmp{Op: expr.CmpOpGte, Register: regName, Data: make([]byte, 4)},
	}}
}

// ours matches every link whose name begins with LinkPrefix.
func ours(l link) part {
	return part{fmt.Sprintf("%s \"%s*\"", l.text, LinkPrefix),
		[]expr.Any{&expr.Meta{Key: l.key, Register: regName}, equal([]byte(LinkPrefix))}}
}

func load(f field, register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: f.base, Offset: f.offset, Len: f.size}
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: regName, Data: data}
}

// is matches a field's exact bytes; word is what nft calls them.
func is(f field, word string, data ...byte) part {
	return part{f.text + " " + word, []expr.Any{load(f, regName), equal(data)}}
}

func between(f field, word string, low, high byte) part {
	return part{f.text + " " + word, []expr.Any{load(f, regName),
		&expr.Range{Op: expr.CmpOpEq, Register: regName, FromData: []byte{low}, ToData: []byte{high}}}}
}

// own matches where the set has the link together with the field's value.
func own(l link, f field, set string) part    { return lookup(l, f, set, false) }
func notOwn(l link, f field, set string) part { return lookup(l, f, set, true) }

func lookup(l link, f field, set string, not bool) part {
	op := ""
	if not {
		op = "!= "
	}
	return part{fmt.Sprintf("%s . %s %s@%s", l.text, f.text, op, set), []expr.Any{
		&expr.Meta{Key: l.key, Register: regName},
		load(f, regValue),
		&expr.Lookup{SourceRegister: regName, SetName: set, Invert: not},
	}}
}

// l4proto matches the upper protocol, IPv6 extension headers skipped.
func l4proto(word string, number byte) part {
	return part{"meta l4proto " + word, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regName}, equal([]byte{number})}}
}

// count adds one to the link's element of a dynamic set, making it if needed.
func count(set string) part {
	return part{fmt.Sprintf("update @%s { iifname counter }", set), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: regName},
		&expr.Dynset{SrcRegKey: regName, SetName: set, Operation: unix.NFT_DYNSET_OP_UPDATE,
			Exprs: []expr.Any{&expr.Counter{}}},
	}}
}

func drop(r Reason) part { return verdict("goto " + dropChain(r)) }

func verdict(words string) part {
	chain, isGoto := strings.CutPrefix(words, "goto ")
	v := &expr.Verdict{Kind: expr.VerdictAccept}
	switch {
	case isGoto:
		v = &expr.Verdict{Kind: expr.VerdictGoto, Chain: chain}
	case words == "drop":
		v.Kind = expr.VerdictDrop
	case words == "return":
		v.Kind = expr.VerdictReturn
	}
	return part{words, []expr.Any{v}}
}

// filterText returns a whole table in the language of nft(8).
func filterText(f Family) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table %s %s {\n", f, FilterTable)
	for _, s := range FilterSets(f) {
		kind, to := "set", ""
		if s.Verdict {
			kind, to = "map", " : verdict"
		}
		fmt.Fprintf(&b, "\t%s %s {\n\t\ttype %s%s\n", kind, s.Name, strings.Join(s.Types, " . "), to)
		if s.Dynamic {
			fmt.Fprintf(&b, "\t\tsize %d\n\t\tflags dynamic\n", DropSetSize)
		}
		b.WriteString("\t}\n")
	}
	for _, c := range FilterChains(f) {
		fmt.Fprintf(&b, "\tchain %s {\n", c.Name)
		if c.Hook != "" {
			fmt.Fprintf(&b, "\t\t%s\n", c.declaration())
		}
		for _, r := range c.Rules {
			fmt.Fprintf(&b, "\t\t%s\n", r)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// dropSetSize is more links than one host has.
const DropSetSize = 65535
