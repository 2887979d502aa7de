package import ForgeBase
import ForgeStore
import ForgeSystem

/// Keys that may sign an archive.
package struct Keyring: Sendable, Equatable {
    /// What errors call it: the path of the file.
    package var name: String
    /// OpenPGP keys, binary or armored.
    package var bytes: [UInt8]

    package init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    /// Where Debian's package of keys puts them.
    package static let debian = "/usr/share/keyrings/debian-archive-keyring.gpg"

    /// Reads a keyring file.
    /// - Throws: `.badInput` if there is none.
    package init(file: String) throws(ForgeError) {
        guard let bytes = try Files.readIfPresent(file) else {
            throw ForgeError(
                .badInput, "there is no keyring \(file)",
                remedy: file == Keyring.debian
                    ? "install the package debian-archive-keyring, or name a `keyring:` in the recipe"
                    : "correct the path of `keyring:` in the recipe")
        }
        self.init(name: file, bytes: bytes)
    }

    /// The keys as gpgv reads them: armor removed.
    func binary() throws(ForgeError) -> [UInt8] {
        guard bytes.starts(with: "-----BEGIN PGP".utf8) || bytes.first.map({ $0 < 0x80 }) == true else { return bytes }
        let keys = try Armor.decode(bytes, name: name)
        guard !keys.isEmpty else {
            throw ForgeError(.badInput, "keyring \(name) has no OpenPGP keys in it")
        }
        return keys
    }
}

/// ASCII armor of OpenPGP (RFC 9580, section 6).
enum Armor {
    /// The bytes of every block of public keys in a text, one after the other.
    static func decode(_ text: [UInt8], name: String) throws(ForgeError) -> [UInt8] {
        var out: [UInt8] = []
        var isInside = false
        var isHeader = false
        var digits: [UInt8] = []
        for line in text.split(separator: 0x0a, omittingEmptySubsequences: false) {
            let line = line.last == 0x0d ? line.dropLast() : line
            if line.starts(with: "-----BEGIN PGP PUBLIC KEY BLOCK".utf8) {
                (isInside, isHeader, digits) = (true, true, [])
            } else if line.starts(with: "-----END".utf8) {
                guard let bytes = base64(digits) else { throw ForgeError(.badInput, "keyring \(name) is damaged") }
                out += bytes
                isInside = false
            } else if isInside && isHeader {
                if line.allSatisfy({ $0 == 0x20 }) { isHeader = false }
            } else if isInside, line.first != UInt8(ascii: "=") {
                digits += line
            }
        }
        return out
    }

    private static func base64(_ digits: [UInt8]) -> [UInt8]? {
        var out: [UInt8] = []
        var word: UInt32 = 0
        var bits = 0
        for digit in digits where digit != 0x20 {
            let value: UInt32
            switch digit {
            case 0x41...0x5a: value = UInt32(digit) - 0x41
            case 0x61...0x7a: value = UInt32(digit) - 0x61 + 26
            case 0x30...0x39: value = UInt32(digit) - 0x30 + 52
            case 0x2b: value = 62
            case 0x2f: value = 63
            case 0x3d: continue
            default: return nil
            }
            word = word << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
        return out
    }
}

/// A text whose signature holds.
package struct SignedText: Sendable, Equatable {
    /// Exactly the bytes that were signed.
    package var bytes: [UInt8]
    /// Fingerprint of the primary key, upper-case hexadecimal.
    package var signedBy: String
}

/// Checks OpenPGP signatures by gpgv.
package struct SignatureVerifier: Sendable {
    /// Where a directory for the files that gpgv reads is made for each check, and removed: `tmp` of a cache.
    let scratch: String
    private let gpgv: String

    package init(scratch: String, gpgv: String = "gpgv") {
        self.scratch = scratch
        self.gpgv = gpgv
    }

    /// Checks a clear-signed text (`InRelease`).
    /// - Parameter name: what errors call the text.
    /// - Throws: `.verification` with the reason if no signature of the keyring holds.
    package func verify(inline text: [UInt8], keyring: Keyring, name: String) throws(ForgeError) -> SignedText {
        try ClearSigned.check(text, name: name)
        return try run(keyring: keyring, name: name, files: ["text": text]) { directory in
            ["--output", "\(directory)/signed", "\(directory)/text"]
        }
    }

    /// Checks a text with its signature in another file (`Release` and `Release.gpg`).
    package func verify(
        _ text: [UInt8], signature: [UInt8], keyring: Keyring, name: String
    ) throws(ForgeError) -> SignedText {
        let files = ["text": text, "signature": signature]
        var signed = try run(keyring: keyring, name: name, files: files) { directory in
            ["\(directory)/signature", "\(directory)/text"]
        }
        signed.bytes = text
        return signed
    }

    private func run(
        keyring: Keyring, name: String, files: [String: [UInt8]], arguments: (String) -> [String]
    ) throws(ForgeError) -> SignedText {
        let directory = try ScratchDirectory(in: scratch, prefix: "gpgv")
        try Files.write("\(directory.path)/keyring.gpg", try keyring.binary())
        for (file, bytes) in files { try Files.write("\(directory.path)/\(file)", bytes) }
        let command = Command(
            gpgv, ["--keyring", "\(directory.path)/keyring.gpg", "--status-fd", "1"] + arguments(directory.path),
            environment: Command.plainEnvironment + [("GNUPGHOME", directory.path)], errors: .pipe)
        let (_, output, errors): (ExitReport, [UInt8], [UInt8])
        do throws(ForgeError) {
            (_, output, errors) = try command.runSeparately(timeoutSeconds: 60)
        } catch {
            var error = error
            if error.code == .unsupportedHost { error.remedy = "install the package gpgv" }
            throw error
        }
        let status = SignatureStatus(String(decoding: output, as: UTF8.self))
        let fingerprint = try status.fingerprint(
            name: name, keyring: keyring.name, log: String(decoding: errors, as: UTF8.self))
        let signed = try Files.readIfPresent("\(directory.path)/signed") ?? []
        return SignedText(bytes: signed, signedBy: fingerprint)
    }
}

/// The one form of a clear-signed text that is taken: the signed text from the first byte, one signature block, nothing
/// behind it. Anything around it would not be signed, and readers have mistaken it for signed before.
enum ClearSigned {
    static func check(_ text: [UInt8], name: String) throws(ForgeError) {
        var begins = 0
        var signatures = 0
        var ends = 0
        var afterEnd = false
        for line in text.split(separator: 0x0a, omittingEmptySubsequences: false) {
            let line = line.last == 0x0d ? line.dropLast() : line
            if line.elementsEqual("-----BEGIN PGP SIGNED MESSAGE-----".utf8) { begins += 1 }
            if line.elementsEqual("-----BEGIN PGP SIGNATURE-----".utf8) { signatures += 1 }
            if afterEnd, !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { ends += 2 }
            if line.elementsEqual("-----END PGP SIGNATURE-----".utf8) {
                ends += 1
                afterEnd = true
            }
        }
        guard text.starts(with: "-----BEGIN PGP SIGNED MESSAGE-----".utf8), begins == 1, signatures == 1, ends == 1
        else {
            throw ForgeError(
                .verification, "\(name) is not one clear-signed text",
                details: ["a login page of the network, or a mirror that alters files, gives such answers"],
                remedy: "look at the file by a browser, or use another mirror with --mirror ARCHIVE=URL")
        }
    }
}
