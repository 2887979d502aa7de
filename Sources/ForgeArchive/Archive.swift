/// Archives and compressed streams, read and written by libarchive.
package enum Archive {}
