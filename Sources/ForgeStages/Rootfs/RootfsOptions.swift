import ForgeBase

/// The options of the stage `rootfs`; `stages/rootfs/stage.yaml` describes them for people.
struct RootfsOptions: Sendable {
    struct User: Sendable {
        var name: String
        var uid: UInt32?
        var groups: [String]
        var shell: String
        var home: String
        var comment: String
        /// A crypt(5) hash; nil locks the password.
        var passwordHash: String?
        var authorizedKeys: [String]
    }

    struct Group: Sendable {
        var name: String
        var gid: UInt32?
    }

    struct File: Sendable {
        enum Kind: Sendable { case text(String), link(String), directory }

        var path: ByteString
        var kind: Kind
        var owner: String
        var group: String
        var mode: UInt32?
    }

    enum Password: Sendable, Equatable { case locked, empty, hash(String) }

    var filter: PathFilter
    var hostname: String?
    var timezone: String?
    var locale: String?
    var rootPassword = Password.locked
    var groups: [Group] = []
    var users: [User] = []
    var files: [File] = []
    var enable: [String] = []
    var disable: [String] = []
    var mask: [String] = []
    var preseeds: [String] = []
    var remove: [String] = []
    var run: [String] = []
    var keepsByteCode = true

    init(_ json: JSON) throws(ForgeError) {
        func list(_ name: String) -> [String] { (json[name]?.array ?? []).compactMap(\.string) }
        let exclude = list("exclude")
        var include = list("include")
        // Licences ask that their text goes with the binaries.
        if !exclude.isEmpty, json["keep-copyright"]?.bool ?? true { include.append("/usr/share/doc/*/copyright") }
        filter = PathFilter(exclude: exclude, include: include)
        hostname = json["hostname"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        timezone = json["timezone"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        locale = json["locale"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        (enable, disable, mask) = (list("enable"), list("disable"), list("mask"))
        (preseeds, remove, run) = (list("preseed"), list("remove"), list("run"))
        keepsByteCode = json["python-bytecode"]?.string ?? "keep" == "keep"
        rootPassword = try RootfsOptions.password(json["root-password"]?.string ?? "locked")
        for item in json["groups"]?.array ?? [] {
            groups.append(Group(name: try RootfsOptions.name(item, "groups"), gid: try RootfsOptions.id(item["gid"])))
        }
        for item in json["users"]?.array ?? [] { users.append(try RootfsOptions.user(item)) }
        for item in json["files"]?.array ?? [] { files.append(try RootfsOptions.file(item)) }
    }

    private static func fault(_ message: String, remedy: String? = nil) -> ForgeError {
        ForgeError(.badInput, "stage rootfs: \(message)", remedy: remedy)
    }

    private static func password(_ text: String) throws(ForgeError) -> Password {
        switch text {
        case "locked", "": return .locked
        case "empty": return .empty
        default: return .hash(try hash(text, "root-password"))
        }
    }

    /// A crypt(5) hash, told from a password in clear by its form.
    private static func hash(_ text: String, _ what: String) throws(ForgeError) -> String {
        guard text.hasPrefix("$"), text.utf8.count > 20, !text.contains(where: { $0 == ":" || $0 == "\n" || $0 == " " })
        else {
            throw fault(
                "\(what) is no hash of a password",
                remedy: "make one with `mkpasswd -m yescrypt`, or `openssl passwd -6`; a recipe never holds a password")
        }
        return text
    }

    private static func name(_ item: JSON, _ what: String) throws(ForgeError) -> String {
        guard let name = item["name"]?.string else { throw fault("an item of \(what) has no name") }
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "-"): true
            default: false
            }
        }
        guard allowed, let first = name.utf8.first, first >= UInt8(ascii: "_"), name.utf8.count <= 32 else {
            throw fault("“\(name)” in \(what) can't be a name: small letters, digits, “_” and “-”, a letter first")
        }
        return name
    }

    private static func id(_ value: JSON?) throws(ForgeError) -> UInt32? {
        guard let value, value != .null else { return nil }
        guard let number = value.int, number >= 0, number < 65534 else {
            throw fault("“\(value)” can't be the number of a user or group: 0 … 65533")
        }
        return UInt32(number)
    }

    private static func user(_ item: JSON) throws(ForgeError) -> User {
        let name = try name(item, "users")
        let hash = item["password-hash"]?.string
        let keys = (item["authorized-keys"]?.array ?? []).compactMap(\.string)
        for key in keys where key.contains("\n") || !key.contains(" ") {
            throw fault("an authorized key of \(name) is not one line of the form “type key comment”: \(key)")
        }
        let user = User(
            name: name, uid: try id(item["uid"]), groups: (item["groups"]?.array ?? []).compactMap(\.string),
            shell: item["shell"]?.string ?? "/bin/bash", home: item["home"]?.string ?? "/home/\(name)",
            comment: item["comment"]?.string ?? "",
            passwordHash: try hash.map { hash throws(ForgeError) in
                try RootfsOptions.hash(hash, "password-hash of \(name)")
            }, authorizedKeys: keys)
        for text in [user.shell, user.home, user.comment] where text.contains(where: { $0 == ":" || $0 == "\n" }) {
            throw fault("user \(name): “\(text)” has a colon or a line end, which /etc/passwd can't hold")
        }
        guard user.home.hasPrefix("/"), user.shell.hasPrefix("/") else {
            throw fault("user \(name): home and shell are absolute paths")
        }
        return user
    }

    private static func file(_ item: JSON) throws(ForgeError) -> File {
        guard let path = item["path"]?.string, path.hasPrefix("/"), path.utf8.count > 1,
            !path.split(separator: "/").contains("..")
        else { throw fault("an item of files needs “path”, absolute and without “..”") }
        let kinds = [
            item["content"]?.string.map(File.Kind.text), item["link"]?.string.map(File.Kind.link),
            item["directory"]?.bool == true ? File.Kind.directory : nil,
        ].compactMap { $0 }
        guard kinds.count == 1 else { throw fault("\(path) in files needs one of “content”, “link” and “directory”") }
        let parts = path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
        return File(
            path: ByteString(parts), kind: kinds[0], owner: item["owner"]?.string ?? "root",
            group: item["group"]?.string ?? "root", mode: try mode(item["mode"], path))
    }

    /// A mode in octal, as text or as a number that is read as it is written: `0644`, `"0644"`, `644`.
    static func mode(_ value: JSON?, _ path: String) throws(ForgeError) -> UInt32? {
        guard let value, value != .null else { return nil }
        let text = value.string ?? value.int.map { String($0) } ?? ""
        guard let mode = UInt32(text, radix: 8), mode <= 0o7777 else {
            throw fault("the mode of \(path) is not octal: \(value)", remedy: "write it as “0644”, in quotes")
        }
        return mode
    }
}
