// Package disk asks what room there is on a disk before bytes are brought to it.
package disk
