import ForgeBase

/// What gpgv says on its status descriptor; the lines are described in GnuPG's doc/DETAILS.
struct SignatureStatus {
    private enum Verdict { case good, expiredSignature, expiredKey, revokedKey }

    /// One signature that was checked with a key.
    private struct Checked {
        var verdict: Verdict
        /// Key id or fingerprint, and user id.
        var signer: String
        /// Fingerprint of the primary key; nil until VALIDSIG says it.
        var fingerprint: String?
        var usesWeakHash = false
    }

    private var checked: [Checked] = []
    /// Signers of signatures that don't fit the text.
    private var bad: [String] = []
    /// Key ids that the keyring lacks.
    private var missing: [String] = []
    private var unsupported: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") where line.hasPrefix("[GNUPG:] ") {
            let words = line.split(separator: " ").dropFirst().map(String.init)
            guard let keyword = words.first else { continue }
            let rest = Array(words.dropFirst())
            let signer = rest.joined(separator: " ")
            switch keyword {
            case "GOODSIG": checked.append(Checked(verdict: .good, signer: signer))
            case "EXPSIG": checked.append(Checked(verdict: .expiredSignature, signer: signer))
            case "EXPKEYSIG": checked.append(Checked(verdict: .expiredKey, signer: signer))
            case "REVKEYSIG": checked.append(Checked(verdict: .revokedKey, signer: signer))
            case "BADSIG": bad.append(signer)
            case "NO_PUBKEY": if let key = rest.first { missing.append(key) }
            // Reason 9 is a missing key, which NO_PUBKEY says too.
            case "ERRSIG": if rest.count > 5, rest[5] != "9" { unsupported.append(rest[0]) }
            case "VALIDSIG": note(valid: rest)
            default: break
            }
        }
    }

    /// Fields of VALIDSIG: fingerprint, date, time, expiry, version, reserved, key algorithm, hash algorithm, class,
    /// fingerprint of the primary key.
    private mutating func note(valid fields: [String]) {
        guard !checked.isEmpty, fields.count >= 9 else { return }
        checked[checked.count - 1].fingerprint = fields.count > 9 ? fields[9] : fields[0]
        // MD5, SHA-1, RIPEMD-160 (RFC 9580, section 9.5).
        checked[checked.count - 1].usesWeakHash = ["1", "2", "3"].contains(fields[7])
    }

    /// The primary key of the first signature that holds. Signatures by keys that the keyring lacks don't matter beside
    /// one that holds: archives sign with the keys of several releases.
    func fingerprint(name: String, keyring: String, log: String) throws(ForgeError) -> String {
        if !bad.isEmpty {
            throw ForgeError(
                .verification, "the signature of \(name) does not fit its text",
                details: bad.map { "bad signature by \($0)" } + ["the file was altered, or damaged on its way"],
                remedy: "try again, or use another mirror with --mirror ARCHIVE=URL")
        }
        if let good = checked.first(where: { $0.verdict == .good && !$0.usesWeakHash && $0.fingerprint != nil }) {
            return good.fingerprint ?? ""
        }
        if let expired = checked.first(where: { $0.verdict == .expiredKey }) {
            throw ForgeError(
                .verification, "\(name) is signed by a key that has expired",
                details: ["key \(expired.signer)", "in keyring \(keyring)"],
                remedy: SignatureStatus.update(keyring, "it may hold the key with its new expiry date"))
        }
        if let revoked = checked.first(where: { $0.verdict == .revokedKey }) {
            throw ForgeError(
                .verification, "\(name) is signed by a key that its owner has revoked",
                details: ["key \(revoked.signer)", "in keyring \(keyring)"],
                remedy: SignatureStatus.update(keyring, "it should hold the archive's new key"))
        }
        if let old = checked.first(where: { $0.verdict == .expiredSignature }) {
            throw ForgeError(
                .verification, "the signature of \(name) has expired", details: ["by \(old.signer)"],
                remedy: "use a mirror that is up to date")
        }
        if let weak = checked.first(where: { $0.usesWeakHash }) {
            throw ForgeError(
                .verification, "\(name) is signed over a hash that is broken (MD5, SHA-1 or RIPEMD-160)",
                details: ["by \(weak.signer)"],
                remedy: "ask the archive's owner to sign it again with SHA-256 or better")
        }
        throw unknown(name: name, keyring: keyring, log: log)
    }

    private func unknown(name: String, keyring: String, log: String) -> ForgeError {
        if !missing.isEmpty {
            return ForgeError(
                .verification, "\(name) is signed by keys that the keyring lacks",
                details: missing.map { "no key \($0)" } + ["in keyring \(keyring)"],
                remedy: SignatureStatus.update(keyring, "or name the archive's own keyring in the recipe (`keyring:`)"))
        }
        if !unsupported.isEmpty {
            return ForgeError(
                .verification, "gpgv can't check the signature of \(name)",
                details: unsupported.map { "of key \($0): an algorithm that it doesn't know" }
                    + SignatureStatus.tail(log),
                remedy: "install a newer gpgv")
        }
        return ForgeError(
            .verification, "\(name) has no signature", details: SignatureStatus.tail(log),
            remedy: "use a mirror that has the signed file")
    }

    private static func update(_ keyring: String, _ why: String) -> String {
        keyring == Keyring.debian
            ? "update the package debian-archive-keyring; \(why)" : "put a newer keyring at \(keyring); \(why)"
    }

    private static func tail(_ log: String) -> [String] {
        log.split(separator: "\n").suffix(4).map { "gpgv: " + ($0.hasPrefix("gpgv: ") ? $0.dropFirst(6) : $0) }
    }
}
