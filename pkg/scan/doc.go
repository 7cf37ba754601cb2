// Package scan finds what can harm whoever loads a model: it knows every format that
// modseal reads, chooses the reader by the content of a file and then by its name,
// opens containers in containers, and judges what the readers report.
//
// Nothing is executed, and nothing of a model is believed: a file that could not be
// read to its end is [hazard.Incomplete], and never clean. Headers, pickles and small
// texts are read; the numbers of weights are not. Memory does not grow with the model.
package scan
