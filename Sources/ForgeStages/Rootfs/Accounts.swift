import ForgeBase

/// Users and groups of the image, from its own files.
enum Accounts {
    /// The number of a user (`etc/passwd`) or group (`etc/group`) by name, or by number as `#7` or `7`; nil if there
    /// is none.
    static func id(_ name: String, in file: ByteString, of root: RootDirectory) throws -> UInt32? {
        let digits = name.hasPrefix("#") ? String(name.dropFirst()) : name
        if let number = UInt32(digits) { return number }
        for line in try root.text(file).split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 2, fields[0] == name { return UInt32(fields[2]) }
        }
        return nil
    }
}
