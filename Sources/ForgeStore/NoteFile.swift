package import ForgeBase
import ForgeSystem

/// A small result that can be had again by work, in a file of its own: for what is asked before anything else, when opening
/// the database would take longer than the answer.
///
/// The file is `<folder>/<seal of the key>` in the cache: the seal of key and value (8 bytes, as all numbers here
/// little-endian), the length of the key (8 bytes), the key, the value. What is damaged, or of another key that has the
/// same name, counts as missing.
package struct NoteFile {
    private let path: String
    private let key: [UInt8]

    /// Folders of notes, and the seconds after which a note is of no use to anybody.
    static let folders = [(name: "up-to-date", age: Int64(86_400))]

    /// - Parameter folder: one of the folders of the cache that collection knows.
    package init(cache: String, folder: String, key: [UInt8]) {
        path = "\(cache)/\(folder)/\(String(UInt64(bitPattern: RowSeal.of(key)), radix: 16))"
        self.key = key
    }

    /// The value, or nil.
    package func read() throws(ForgeError) -> ArraySlice<UInt8>? {
        guard let bytes = try Files.readIfPresent(path), bytes.count >= 16 + key.count else { return nil }
        let (seal, length) = bytes.withUnsafeBytes {
            ($0.loadUnaligned(as: Int64.self), $0.loadUnaligned(fromByteOffset: 8, as: Int64.self))
        }
        guard length == key.count, bytes[16..<(16 + key.count)].elementsEqual(key) else { return nil }
        let value = bytes[(16 + key.count)...]
        return Int64(littleEndian: seal) == NoteFile.seal(key, value) ? value : nil
    }

    package func write(_ value: [UInt8]) throws(ForgeError) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16 + key.count + value.count)
        for number in [NoteFile.seal(key, value[...]), Int64(key.count)] {
            withUnsafeBytes(of: number.littleEndian) { bytes += $0 }
        }
        bytes += key
        bytes += value
        try Files.makeDirectories(Files.parent(of: path))
        // A crash may lose it, or leave it damaged: then it is missing.
        try Files.write(path, bytes, durably: false)
    }

    private static func seal(_ key: [UInt8], _ value: ArraySlice<UInt8>) -> Int64 {
        value.withUnsafeBytes { RowSeal.of(key, $0) }
    }
}
