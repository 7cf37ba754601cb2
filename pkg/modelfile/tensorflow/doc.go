// Package tensorflow looks into the graphs of TensorFlow for operations that reach
// outside of the graph: SavedModel (saved_model.pb), MetaGraphDef and GraphDef files,
// and the metadata that Keras 2 keeps beside them (keras_metadata.pb).
//
// They are protocol buffers of
// https://github.com/tensorflow/tensorflow/tree/v2.19.0/tensorflow/core/protobuf and
// …/core/framework. Messages are stepped through in the file; constants, which may be
// gigabytes, are passed over. A graph has functions, which have nodes as the graph
// has, and those count in the same way: a function that nobody calls in this graph
// can be called by another.
package tensorflow
