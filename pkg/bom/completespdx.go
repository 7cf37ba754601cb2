package bom

import (
	"strings"
)

// spdxCompletion is a document of SPDX 2.3, and what is known of the model.
type spdxCompletion struct {
	merger
	doc, ours *object
	known     map[string]*object // packages and files of the document, by what tells them
	ids       map[string]bool    // that the document uses
	names     map[string]string  // of our elements, in the document
}

func completeSPDX(doc *object, version string, d *description) (*merger, error) {
	if version != "2.3" {
		return nil, unsupported(Kind{SPDX, version}, "2.3")
	}
	raw, err := writeSPDX(d)
	if err != nil {
		return nil, err
	}
	ours, err := parseTree(raw)
	if err != nil {
		return nil, err
	}
	c := &spdxCompletion{doc: doc, ours: ours, known: map[string]*object{}, ids: map[string]bool{}, names: map[string]string{}}
	c.same = sameInSPDX
	for _, list := range []string{"packages", "files", "snippets"} {
		for _, o := range doc.objects(list) {
			c.ids[o.text("SPDXID")] = true
			for _, key := range identitiesSPDX(o) {
				if c.known[key] == nil {
					c.known[key] = o
				}
			}
		}
	}
	if err := c.complete(); err != nil || !c.added {
		return &c.merger, err
	}
	c.object("", doc, newObject("creationInfo", newObject("creators", ours.object("creationInfo").list("creators"))))
	return &c.merger, nil
}

// identitiesSPDX are the texts of which two elements need to share one to be the same:
// the path of a file, the name of a package, a package URL, a checksum.
func identitiesSPDX(o *object) []string {
	out := []string{"package " + o.text("name")}
	if path := spdxPath(o); path != "" {
		out = []string{"file " + path}
	}
	for _, r := range o.objects("externalRefs") {
		if r.text("referenceType") == "purl" {
			out = append(out, "purl "+r.text("referenceLocator"))
		}
	}
	for _, h := range o.objects("checksums") {
		out = append(out, h.text("algorithm")+" "+strings.ToLower(h.text("checksumValue")))
	}
	return out
}

// spdxPath is the path of what is a file, in either of the two ways in which a document
// can have one; empty for all else.
func spdxPath(o *object) string {
	path := o.text("fileName")
	if path == "" && o.text("primaryPackagePurpose") == "FILE" {
		path = o.text("packageFileName")
	}
	return strings.TrimPrefix(path, "./")
}

func (c *spdxCompletion) complete() error {
	packages := c.ours.objects("packages")
	theirs := make([]*object, len(packages))
	for i, p := range packages {
		theirs[i] = c.find(p)
		if i == 0 && theirs[i] == nil {
			theirs[i] = c.described()
		}
		if i > 0 && theirs[i] == theirs[0] {
			theirs[i] = nil // no part of a model is the model
		}
		c.name(p, theirs[i])
		if err := sameChecksum(theirs[i], p); err != nil {
			return err
		}
	}
	rename(c.ours, c.names, map[string]bool{"SPDXID": true, "spdxElementId": true, "relatedSpdxElement": true})
	var left []any
	for i, p := range packages {
		if theirs[i] == nil {
			left = append(left, p)
			continue
		}
		if theirs[i].text("fileName") != "" {
			p = newObject("checksums", p.list("checksums")) // a file has no more in common with a package
		}
		c.object(packages[i].text("name"), theirs[i], p)
	}
	if len(left) > 0 {
		c.doc.add("packages", left...)
		c.added = true
	}
	for _, key := range []string{"hasExtractedLicensingInfos", "relationships"} {
		if items := c.ours.list(key); len(items) > 0 {
			c.object("", c.doc, newObject(key, items))
		}
	}
	return nil
}

// described returns the one package that the document says it is about.
func (c *spdxCompletion) described() *object {
	about := ""
	for _, r := range c.doc.objects("relationships") {
		if r.text("relationshipType") == "DESCRIBES" && r.text("spdxElementId") == "SPDXRef-DOCUMENT" {
			if about != "" {
				return nil
			}
			about = r.text("relatedSpdxElement")
		}
	}
	if list := c.doc.list("documentDescribes"); about == "" && len(list) == 1 {
		about, _ = list[0].(string)
	}
	for _, p := range c.doc.objects("packages") {
		if about != "" && p.text("SPDXID") == about {
			return p
		}
	}
	return nil
}

func (c *spdxCompletion) find(ours *object) *object {
	for _, key := range identitiesSPDX(ours) {
		if o := c.known[key]; o != nil {
			return o
		}
	}
	return nil
}

// name has ours be called as it is in the document, or in a way that nothing there
// is.
func (c *spdxCompletion) name(ours, theirs *object) {
	id := ours.text("SPDXID")
	if theirs != nil {
		c.names[id] = theirs.text("SPDXID")
		return
	}
	unique := id
	for c.ids[unique] {
		unique += "-modseal"
	}
	c.names[id], c.ids[unique] = unique, true
}

// sameChecksum refuses a document in which a file of the model is another one.
func sameChecksum(theirs, ours *object) error {
	if theirs == nil || spdxPath(ours) == "" {
		return nil
	}
	for _, h := range ours.objects("checksums") {
		for _, other := range theirs.objects("checksums") {
			if other.text("algorithm") == h.text("algorithm") && !strings.EqualFold(other.text("checksumValue"), h.text("checksumValue")) {
				return &OtherFileError{Path: spdxPath(ours), Document: other.text("checksumValue"), Contents: h.text("checksumValue")}
			}
		}
	}
	return nil
}

// sameInSPDX tells items of the lists of SPDX 2.3.
func sameInSPDX(list string, o *object) string {
	switch list {
	case "checksums":
		return o.text("algorithm")
	case "externalRefs":
		return o.text("referenceType") + " " + o.text("referenceLocator")
	case "relationships":
		return o.text("spdxElementId") + " " + o.text("relationshipType") + " " + o.text("relatedSpdxElement")
	case "hasExtractedLicensingInfos":
		return o.text("licenseId")
	case "annotations":
		// The same said at another time is nothing new.
		return o.text("comment")
	}
	return ""
}
