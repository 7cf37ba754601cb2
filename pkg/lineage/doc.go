// Package lineage is the graph of models and what they were made from: what
// provenance and annotations say of it, and its drawing for Graphviz, Mermaid or as
// SVG. It fetches and verifies nothing: the door gives it what was found, with the
// verdict on each node and each edge.
package lineage
