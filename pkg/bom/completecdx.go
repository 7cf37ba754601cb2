package bom

import (
	"encoding/json"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// cycloneDXVersions are those that know models.
var cycloneDXVersions = map[string]cdx.SpecVersion{"1.5": cdx.SpecVersion1_5, "1.6": cdx.SpecVersion1_6, "1.7": cdx.SpecVersion1_7}

// cdxCompletion is a document, and what is known of the model in the same version of
// the form.
type cdxCompletion struct {
	merger
	doc, ours *object
	known     map[string]*object // the components of the document at any depth, by what tells them
	refs      map[string]bool    // that the document uses
	names     map[string]string  // of our references, in the document
}

func completeCycloneDX(doc *object, version string, d *description) (*merger, error) {
	v, ok := cycloneDXVersions[version]
	if !ok {
		return nil, unsupported(Kind{CycloneDX, version}, "1.5, 1.6 and 1.7")
	}
	raw, err := writeCycloneDXVersion(d, v)
	if err != nil {
		return nil, err
	}
	ours, err := parseTree(raw)
	if err != nil {
		return nil, err
	}
	c := &cdxCompletion{doc: doc, ours: ours, known: map[string]*object{}, refs: map[string]bool{}, names: map[string]string{}}
	c.same, c.closed = sameInCycloneDX, map[string]bool{"licenses": true}
	if top := doc.object("metadata").object("component"); top != nil {
		c.know(top)
	}
	for _, o := range doc.objects("components") {
		c.know(o)
	}
	c.collectRefs(doc)
	if err := c.complete(); err != nil || !c.added {
		return &c.merger, err
	}
	c.sign()
	return &c.merger, c.countUp()
}

func (c *cdxCompletion) know(o *object) {
	for _, key := range identities(o) {
		if c.known[key] == nil {
			c.known[key] = o
		}
	}
	for _, child := range o.objects("components") {
		c.know(child)
	}
}

// identities are the texts of which two components need to share one to be the same:
// a file of that path or that content, another component of that package URL, digest or name.
func identities(o *object) []string {
	kind := o.text("type")
	var out []string
	if purl := o.text("purl"); purl != "" {
		out = append(out, "purl "+purl)
	}
	if kind == string(cdx.ComponentTypeFile) {
		out = append(out, kind+" "+strings.TrimPrefix(o.text("name"), "./"))
	} else {
		out = append(out, kind+" "+fullName(o))
	}
	for _, h := range o.objects("hashes") {
		out = append(out, kind+" "+h.text("alg")+" "+strings.ToLower(h.text("content")))
	}
	return out
}

// fullName is the name with its group, however the two are split.
func fullName(o *object) string {
	return strings.TrimPrefix(o.text("group")+"/"+o.text("name"), "/")
}

func (c *cdxCompletion) collectRefs(v any) {
	switch v := v.(type) {
	case *object:
		if ref := v.text("bom-ref"); ref != "" {
			c.refs[ref] = true
		}
		for _, k := range v.keys {
			c.collectRefs(v.values[k])
		}
	case []any:
		for _, x := range v {
			c.collectRefs(x)
		}
	}
}

func (c *cdxCompletion) complete() error {
	model := c.ours.object("metadata").object("component")
	theirs := c.model(model)
	c.name(model, theirs)
	type pair struct{ theirs, ours *object }
	var matched []pair
	for _, parent := range []*object{model, c.ours} {
		var left []any
		for _, o := range parent.objects("components") {
			found := c.find(o)
			if found == theirs {
				found = nil // no part of a model is the model
			}
			c.name(o, found)
			if found == nil {
				left = append(left, o)
				continue
			}
			if err := sameContent(found, o); err != nil {
				return err
			}
			matched = append(matched, pair{found, o})
		}
		parent.setSome("components", left)
	}
	withoutUnsliced(theirs, model)
	rename(c.ours, c.names, map[string]bool{"bom-ref": true, "ref": true, "dependsOn": true})
	for _, p := range matched {
		if fullName(p.theirs) == fullName(p.ours) {
			p.ours.remove("group") // it may be in the name there
			p.ours.remove("name")
		}
		c.object(p.theirs.text("name"), p.theirs, p.ours)
	}
	c.place(theirs, model)
	for _, key := range []string{"components", "dependencies", "formulation"} {
		if items := c.ours.list(key); len(items) > 0 {
			c.object("", c.doc, newObject(key, items))
		}
	}
	return nil
}

// model returns the component of the document that is the model: what the document is
// about when that is a model, else one of the same digest, package URL or name.
func (c *cdxCompletion) model(ours *object) *object {
	if top := c.doc.object("metadata").object("component"); top.text("type") == string(cdx.ComponentTypeMachineLearningModel) {
		return top
	}
	return c.find(ours)
}

func (c *cdxCompletion) find(ours *object) *object {
	for _, key := range identities(ours) {
		if o := c.known[key]; o != nil {
			return o
		}
	}
	return nil
}

// name has ours be called as it is in the document, or in a way that nothing there
// is.
func (c *cdxCompletion) name(ours, theirs *object) {
	ref := ours.text("bom-ref")
	if theirs.text("bom-ref") != "" {
		c.names[ref] = theirs.text("bom-ref")
		return
	}
	unique := ref
	for c.refs[unique] {
		unique = "modseal:" + unique
	}
	c.names[ref], c.refs[unique] = unique, true
}

// place puts the model into the document: what the document is about, when that is
// nothing else.
func (c *cdxCompletion) place(theirs, model *object) {
	if theirs != nil {
		if fullName(theirs) == fullName(model) {
			model.remove("group")
		}
		c.object("model", theirs, model)
		return
	}
	c.added = true
	if c.doc.object("metadata") == nil {
		c.doc.set("metadata", newObject("component", model))
		return
	}
	about := c.doc.object("metadata").object("component")
	if about == nil {
		c.doc.object("metadata").set("component", model)
		return
	}
	c.doc.add("components", model)
	if ref := about.text("bom-ref"); ref != "" {
		dependency := newObject("ref", ref)
		dependency.set("dependsOn", []any{model.text("bom-ref")})
		c.ours.add("dependencies", dependency)
	}
}

// withoutUnsliced takes away of our model the metrics that the document says of its own
// without a slice.
func withoutUnsliced(theirs, ours *object) {
	analysis := func(o *object) *object { return o.object("modelCard").object("quantitativeAnalysis") }
	said := unsliced{}
	for _, m := range analysis(theirs).objects("performanceMetrics") {
		if m.text("slice") == "" {
			said.add(m.text("type"), m.text("value"))
		}
	}
	if len(said) > 0 && analysis(ours) != nil {
		analysis(ours).setSome("performanceMetrics", said.without(analysis(ours).list("performanceMetrics"), func(m *object) (string, string) {
			return m.text("type"), m.text("value")
		}))
	}
}

// sign adds who completed the document, and its time when there is none.
func (c *cdxCompletion) sign() {
	ours := c.ours.object("metadata")
	ours.remove("component")
	if c.doc.object("metadata") == nil {
		c.doc.set("metadata", newObject("tools", ours.values["tools"]))
	}
	given := c.doc.object("metadata")
	if given.text("timestamp") != "" {
		ours.remove("timestamp")
	}
	// Before 1.5 tools were a list, and may still be one.
	if _, list := given.values["tools"].([]any); list {
		tool := ours.object("tools").objects("components")[0]
		tool.remove("type")
		ours.set("tools", []any{tool})
	}
	c.object("metadata", given, ours)
}

// countUp gives the document what identifies it now: the next version, which the
// specification asks for when a document is changed, or a serial number of its own.
func (c *cdxCompletion) countUp() error {
	if c.doc.text("serialNumber") == "" {
		raw, err := encodeJSON(c.doc)
		c.doc.set("serialNumber", "urn:uuid:"+contentUUID(raw).String())
		return err
	}
	n, _ := c.doc.values["version"].(json.Number)
	version, err := strconv.ParseInt(n.String(), 10, 32)
	if err != nil {
		version = 1 // what it is by the schema, where it is not said
	}
	c.doc.set("version", json.Number(strconv.FormatInt(version+1, 10)))
	return nil
}

func theirHash(o *object, alg string) string {
	for _, h := range o.objects("hashes") {
		if h.text("alg") == alg {
			return strings.ToLower(h.text("content"))
		}
	}
	return ""
}

// sameContent refuses a document in which a file of the model is another one.
func sameContent(theirs, ours *object) error {
	if ours.text("type") != string(cdx.ComponentTypeFile) {
		return nil
	}
	for _, h := range ours.objects("hashes") {
		if other := theirHash(theirs, h.text("alg")); other != "" && other != h.text("content") {
			return &OtherFileError{Path: ours.text("name"), Document: other, Contents: h.text("content")}
		}
	}
	return nil
}

// repeated tells properties by their names, and those that a model may have several of
// by all that they say.
func repeated(name, value string) string {
	if name == "modseal:warning" || name == "modseal:elements" {
		return name + "=" + value
	}
	return name
}

// sameInCycloneDX tells items of the lists of CycloneDX.
func sameInCycloneDX(list string, o *object) string {
	switch list {
	case "hashes":
		return o.text("alg")
	case "properties":
		return repeated(o.text("name"), o.text("value"))
	case "externalReferences":
		return o.text("type") + " " + o.text("url")
	case "dependencies", "datasets":
		return o.text("ref")
	case "formulation", "workflows":
		return o.text("bom-ref")
	case "tools", "components", "ancestors":
		if purl := o.text("purl"); purl != "" {
			return purl
		}
		return o.text("type") + " " + fullName(o) + " " + o.text("version")
	case "authors":
		return o.text("name")
	case "performanceMetrics":
		return strings.ToLower(metric{name: o.text("type"), slice: o.text("slice")}.key())
	}
	return ""
}
