package bom

import "strings"

// spdx3Completion is a document of SPDX 3, and what is known of the model.
type spdx3Completion struct {
	merger
	doc, ours *object
	known     map[string]*object // elements of the document, by what tells them
	ids       map[string]bool
	names     map[string]string // of our elements, in the document
	related   map[string]bool   // what the document relates: relation, from, to
}

// packageClasses are the classes of elements that are told by more than their name.
var packageClasses = map[string]bool{"ai_AIPackage": true, "dataset_DatasetPackage": true, "software_Package": true, "software_File": true}

func completeSPDX3(doc *object, version string, d *description) (*merger, error) {
	if version != spdx3Version {
		return nil, unsupported(Kind{SPDX3, version}, spdx3Version)
	}
	raw, err := writeSPDX3(d)
	if err != nil {
		return nil, err
	}
	ours, err := parseTree(raw)
	if err != nil {
		return nil, err
	}
	c := &spdx3Completion{doc: doc, ours: ours, known: map[string]*object{}, ids: map[string]bool{}, names: map[string]string{}, related: map[string]bool{}}
	c.same = sameInSPDX3
	for _, o := range doc.objects("@graph") {
		c.ids[elementID(o)] = true
		for _, to := range o.list("to") {
			c.related[relation(o, to)] = true
		}
		for _, key := range identitiesSPDX3(o) {
			if c.known[key] == nil {
				c.known[key] = o
			}
		}
	}
	return &c.merger, c.complete()
}

func elementID(o *object) string {
	if id := o.text("spdxId"); id != "" {
		return id
	}
	return o.text("@id")
}

// identitiesSPDX3 are the texts of which two elements need to share one to be the
// same. Of documents and bills of materials there is one.
func identitiesSPDX3(o *object) []string {
	class := o.text("type")
	switch class {
	case "SpdxDocument", "software_Sbom":
		return []string{class}
	case "Relationship":
		return []string{class + " " + o.text("relationshipType") + " " + o.text("from")}
	case "simplelicensing_LicenseExpression":
		return []string{class + " " + o.text("simplelicensing_licenseExpression")}
	case "CreationInfo", "":
		return nil
	}
	out := []string{class + " " + o.text("name")}
	if !packageClasses[class] {
		return out
	}
	if purl := o.text("software_packageUrl"); purl != "" {
		out = append(out, "purl "+purl)
	}
	for _, h := range o.objects("verifiedUsing") {
		out = append(out, class+" "+h.text("algorithm")+" "+strings.ToLower(h.text("hashValue")))
	}
	return out
}

// relation tells one relation of a relationship, which may hold several.
func relation(o *object, to any) string {
	return o.text("relationshipType") + " " + o.text("from") + " " + text(to)
}

func (c *spdx3Completion) complete() error {
	elements := c.ours.objects("@graph")
	theirs := make([]*object, len(elements))
	model := c.described()
	for i, e := range elements {
		if e.text("type") == "Relationship" {
			continue // told by what it is from, which has its name below
		}
		theirs[i] = c.find(e)
		switch isModel := strings.HasSuffix(elementID(e), "#"+spdxModel); {
		case isModel && theirs[i] == nil:
			theirs[i] = model
		case isModel:
			model = theirs[i]
		case theirs[i] == model:
			theirs[i] = nil // no part of a model is the model
		}
		withoutKeyOnly(theirs[i], e)
		c.name(e, theirs[i])
		if err := sameHashes(theirs[i], e); err != nil {
			return err
		}
	}
	// Every text is renamed that is the name of an element, wherever it stands.
	keys := map[string]bool{"value": true}
	for _, e := range elements {
		for _, k := range e.keys {
			keys[k] = k != "name"
		}
	}
	rename(c.ours, c.names, keys)
	c.join(elements, theirs)
	return nil
}

// withoutKeyOnly takes away of our model the metrics that the document says of its own
// without what they were measured on.
func withoutKeyOnly(theirs, ours *object) {
	said := unsliced{}
	for _, m := range theirs.objects("ai_metric") {
		said.add(m.text("key"), m.text("value"))
	}
	if len(said) > 0 {
		ours.setSome("ai_metric", said.without(ours.list("ai_metric"), func(m *object) (string, string) {
			name, _, _ := strings.Cut(m.text("key"), on)
			return name, m.text("value")
		}))
	}
}

// join puts our elements into those of the document that they are, and the others
// beside them.
func (c *spdx3Completion) join(elements, theirs []*object) {
	var left []any
	for i, e := range elements {
		if e.text("type") == "Relationship" {
			if theirs[i] = c.find(e); c.knows(e, theirs[i]) {
				continue
			}
		}
		if theirs[i] == nil {
			left = append(left, e)
			if class := e.text("type"); class != "CreationInfo" && class != "SoftwareAgent" {
				c.added = true // those alone say nothing of the model
			}
			continue
		}
		for _, own := range []string{"creationInfo", "comment", "spdxId", "@id"} {
			e.remove(own)
		}
		if e.text("type") == "SpdxDocument" {
			e.remove("name")
		}
		c.object(clean(theirs[i].text("name")), theirs[i], e)
	}
	if c.added {
		c.doc.add("@graph", left...)
	}
}

// knows takes away of a relationship what the document relates already, and reports
// whether nothing is left. Of declared and of concluded licences there is one
// relationship, which stays what it is when it says anything.
func (c *spdx3Completion) knows(e, theirs *object) bool {
	if license := strings.HasSuffix(e.text("relationshipType"), "License"); license && theirs != nil {
		given := theirs.list("to")
		if len(given) == 1 && unsaid(given[0]) && !unsaid(e.list("to")[0]) {
			theirs.set("to", e.list("to"))
			c.added = true
		}
		return true
	}
	var left []any
	for _, to := range e.list("to") {
		if !c.related[relation(e, to)] {
			left = append(left, to)
		}
	}
	e.set("to", left)
	return len(left) == 0
}

// described returns the one model that the document says it is about.
func (c *spdx3Completion) described() *object {
	roots := map[string]bool{}
	for _, class := range []string{"software_Sbom", "SpdxDocument"} {
		for _, id := range c.known[class].list("rootElement") {
			if id, ok := id.(string); ok {
				roots[id] = true
			}
		}
	}
	var found *object
	for _, o := range c.doc.objects("@graph") {
		if o.text("type") == "ai_AIPackage" && roots[o.text("spdxId")] {
			if found != nil {
				return nil
			}
			found = o
		}
	}
	return found
}

func (c *spdx3Completion) find(ours *object) *object {
	for _, key := range identitiesSPDX3(ours) {
		if o := c.known[key]; o != nil {
			return o
		}
	}
	return nil
}

// name has ours be called as it is in the document, or in a way that nothing there
// is.
func (c *spdx3Completion) name(ours, theirs *object) {
	id := elementID(ours)
	if theirs != nil {
		c.names[id] = elementID(theirs)
		return
	}
	unique := id
	for c.ids[unique] {
		unique += "-modseal"
	}
	c.names[id], c.ids[unique] = unique, true
}

// sameHashes refuses a document in which a file of the model is another one.
func sameHashes(theirs, ours *object) error {
	if theirs == nil || ours.text("type") != "software_File" {
		return nil
	}
	for _, h := range ours.objects("verifiedUsing") {
		for _, other := range theirs.objects("verifiedUsing") {
			if other.text("algorithm") == h.text("algorithm") && !strings.EqualFold(other.text("hashValue"), h.text("hashValue")) {
				return &OtherFileError{Path: ours.text("name"), Document: other.text("hashValue"), Contents: h.text("hashValue")}
			}
		}
	}
	return nil
}

// sameInSPDX3 tells items of the lists of SPDX 3.
func sameInSPDX3(list string, o *object) string {
	switch list {
	case "verifiedUsing":
		return o.text("algorithm")
	case "ai_metric":
		return strings.ToLower(o.text("key"))
	case "extension":
		return o.text("type")
	case "extension_cdxProperty":
		return repeated(o.text("extension_cdxPropName"), o.text("extension_cdxPropValue"))
	}
	return ""
}
