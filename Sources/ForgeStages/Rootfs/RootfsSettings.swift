import ForgeBase
import ForgeStore
import ForgeSystem

extension RootfsOptions {
    /// Answers questions of packages before they are asked.
    func preseed(_ program: RootProgram) throws {
        guard !preseeds.isEmpty else { return }
        let text = preseeds.map { $0 + "\n" }.joined()
        try program.require(
            "preseed debconf", "/usr/bin/debconf-set-selections", [], input: .bytes(Array(text.utf8)))
    }

    /// Everything the recipe wants beyond the packages, in the order of the documentation: accounts, files, settings,
    /// units, commands, removals.
    func apply(to root: RootDirectory, program: RootProgram, epoch: Int64) throws {
        var accounts = try AccountFiles(root, day: epoch / 86_400)
        for group in groups { try accounts.add(group) }
        for user in users { try accounts.add(user) }
        try accounts.setRoot(rootPassword)
        try accounts.write(to: root)
        for user in users { try makeHome(of: user, in: root) }
        if let hostname { try root.write("etc/hostname", hostname + "\n", mode: 0o644) }
        if let timezone { try set(timezone: timezone, in: root) }
        if let locale { try set(locale: locale, in: root, program) }
        for file in files { try write(file, to: root) }
        try setUnits(program)
        for command in run {
            try program.require("run a command of the recipe", "/bin/sh", ["-euc", command])
            root.forget()
        }
    }

    private func makeHome(of user: User, in root: RootDirectory) throws {
        guard let uid = try Accounts.id(user.name, in: "etc/passwd", of: root),
            let gid = try Accounts.id(user.name, in: "etc/group", of: root)
        else { throw ForgeError(.bug, "the user \(user.name) was not made") }
        let home = ByteString(String(user.home.drop { $0 == "/" }))
        if try root.follow(home) == nil {
            let place = try root.directory(home)
            try root.handle.setMode(place, 0o700)
            try root.handle.setOwner(place, uid: uid, gid: gid)
            if let skeleton = try root.follow("etc/skel") {
                for name in try root.handle.descend(skeleton).list() {
                    guard let bytes = try root.read(skeleton.appending(name)) else { continue }
                    try root.write(place.appending(name), bytes, mode: 0o644, uid: uid, gid: gid)
                }
            }
        }
        guard !user.authorizedKeys.isEmpty else { return }
        let folder = try root.directory(home.appending(".ssh"))
        try root.handle.setMode(folder, 0o700)
        try root.handle.setOwner(folder, uid: uid, gid: gid)
        let keys = user.authorizedKeys.map { $0 + "\n" }.joined()
        try root.write(folder.appending("authorized_keys"), Array(keys.utf8), mode: 0o600, uid: uid, gid: gid)
    }

    private func set(timezone: String, in root: RootDirectory) throws {
        let zone = ByteString("usr/share/zoneinfo/\(timezone)")
        guard !timezone.contains(".."), try root.follow(zone) != nil else {
            throw ForgeError(
                .badInput, "there is no time zone “\(timezone)” in the image",
                remedy: "add the package tzdata, or name a file below /usr/share/zoneinfo")
        }
        try root.remove("etc/localtime")
        try root.handle.makeLink(try root.locate("etc/localtime"), to: ByteString("/usr/share/zoneinfo/\(timezone)"))
        try root.write("etc/timezone", timezone + "\n", mode: 0o644)
    }

    private func set(locale: String, in root: RootDirectory, _ program: RootProgram) throws {
        if !["C", "C.UTF-8", "POSIX"].contains(locale) {
            if try root.follow("usr/sbin/locale-gen") != nil {
                let charset = locale.split(separator: ".").dropFirst().first.map(String.init) ?? "ISO-8859-1"
                try root.write("etc/locale.gen", root.text("etc/locale.gen") + "\(locale) \(charset)\n")
                try program.require("make the locale \(locale)", "/usr/sbin/locale-gen", [])
            } else if try root.follow("usr/lib/locale/locale-archive") == nil {
                throw ForgeError(
                    .badInput, "the image has no locale “\(locale)”", remedy: "add the package locales or locales-all")
            }
        }
        try root.write("etc/default/locale", "LANG=\(locale)\n", mode: 0o644)
    }

    private func write(_ file: File, to root: RootDirectory) throws {
        guard let uid = try Accounts.id(file.owner, in: "etc/passwd", of: root),
            let gid = try Accounts.id(file.group, in: "etc/group", of: root)
        else {
            throw ForgeError(
                .badInput, "/\(file.path) is to belong to \(file.owner):\(file.group), which the image doesn't have",
                remedy: "name a user of a package, or add it under “users” or “groups”")
        }
        switch file.kind {
        case .text(let text): try root.write(file.path, Array(text.utf8), mode: file.mode ?? 0o644, uid: uid, gid: gid)
        case .link(let target):
            try root.remove(file.path)
            let place = try root.locate(file.path)
            try root.handle.makeLink(place, to: ByteString(target))
            try root.handle.setOwner(place, uid: uid, gid: gid)
        case .directory:
            let place = try root.directory(file.path)
            try root.handle.setMode(place, file.mode ?? 0o755)
            try root.handle.setOwner(place, uid: uid, gid: gid)
        }
    }

    private func setUnits(_ program: RootProgram) throws {
        for (verb, units) in [("enable", enable), ("disable", disable), ("mask", mask)] where !units.isEmpty {
            try program.require("\(verb) units", "/usr/bin/systemctl", ["--no-reload", verb] + units)
        }
    }
}

/// The account files of an image: changed here rather than by its tools, so that they exist without the package
/// `passwd` and depend on no clock.
struct AccountFiles {
    private var passwd: [[String]]
    private var group: [[String]]
    private var shadow: [[String]]
    private var gshadow: [[String]]
    /// Days since 1970 that passwords count as changed on.
    private let day: Int64

    init(_ root: RootDirectory, day: Int64) throws {
        func table(_ path: ByteString) throws -> [[String]] {
            try root.text(path).split(separator: "\n").map {
                $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }
        }
        passwd = try table("etc/passwd")
        group = try table("etc/group")
        shadow = try table("etc/shadow")
        gshadow = try table("etc/gshadow")
        self.day = day
    }

    /// Adds a group; one that is there must have the same number.
    mutating func add(_ wanted: RootfsOptions.Group) throws(ForgeError) {
        if let old = group.first(where: { $0[0] == wanted.name }), old.count > 2 {
            guard wanted.gid == nil || old[2] == wanted.gid.map({ String($0) }) else {
                throw AccountFiles.taken("group \(wanted.name)", old[2])
            }
            return
        }
        let gid = try free(wanted.gid, in: group, "gid", of: wanted.name)
        group.append([wanted.name, "x", String(gid), ""])
        if !gshadow.isEmpty { gshadow.append([wanted.name, "!", "", ""]) }
    }

    /// Adds a user with a group of the same name and number.
    mutating func add(_ user: RootfsOptions.User) throws(ForgeError) {
        guard !passwd.contains(where: { $0[0] == user.name }) else {
            throw ForgeError(.badInput, "the user \(user.name) is one of a package's", remedy: "choose another name")
        }
        let uid = try free(user.uid, in: passwd, "uid", of: user.name)
        try add(RootfsOptions.Group(name: user.name, gid: uid))
        passwd.append([user.name, "x", String(uid), String(uid), user.comment, user.home, user.shell])
        shadow.append([user.name, user.passwordHash ?? "!", String(day), "0", "99999", "7", "", "", ""])
        for name in user.groups {
            guard let index = group.firstIndex(where: { $0[0] == name }) else {
                throw ForgeError(
                    .badInput,
                    "user \(user.name) is to be in the group “\(name)”, which the image doesn't have"
                        + Suggestion.hint(for: name, in: group.map { $0[0] }), remedy: "add it under “groups”")
            }
            AccountFiles.join(user.name, &group[index], field: 3)
            if let index = gshadow.firstIndex(where: { $0[0] == name }) {
                AccountFiles.join(user.name, &gshadow[index], field: 3)
            }
        }
    }

    mutating func setRoot(_ password: RootfsOptions.Password) throws(ForgeError) {
        guard let index = shadow.firstIndex(where: { $0[0] == "root" }) else { return }
        switch password {
        case .locked: shadow[index][1] = "*"
        case .empty: shadow[index][1] = ""
        case .hash(let hash): shadow[index][1] = hash
        }
    }

    func write(to root: RootDirectory) throws {
        func text(_ table: [[String]]) -> String { table.map { $0.joined(separator: ":") + "\n" }.joined() }
        if !passwd.isEmpty { try root.write("etc/passwd", text(passwd)) }
        if !group.isEmpty { try root.write("etc/group", text(group)) }
        if !shadow.isEmpty { try root.write("etc/shadow", text(shadow)) }
        if !gshadow.isEmpty { try root.write("etc/gshadow", text(gshadow)) }
    }

    private static func join(_ user: String, _ row: inout [String], field: Int) {
        guard row.count > field else { return }
        var members = row[field].split(separator: ",").map(String.init)
        if !members.contains(user) { members.append(user) }
        row[field] = members.joined(separator: ",")
    }

    /// The wanted number if nobody has it, or the first free one from 1000 on, of both users and groups.
    private func free(
        _ wanted: UInt32?, in table: [[String]], _ kind: String, of name: String
    ) throws(ForgeError) -> UInt32 {
        if let wanted {
            guard !table.contains(where: { $0.count > 2 && $0[2] == String(wanted) }) else {
                throw AccountFiles.taken("\(kind) of \(name)", String(wanted))
            }
            return wanted
        }
        let used = Set((passwd + group).compactMap { $0.count > 2 ? UInt32($0[2]) : nil })
        guard let number = (1000..<60000).first(where: { !used.contains(UInt32($0)) }) else {
            throw ForgeError(.badInput, "no \(kind) is free for \(name)")
        }
        return UInt32(number)
    }

    private static func taken(_ what: String, _ number: String) -> ForgeError {
        ForgeError(.badInput, "the \(what) is taken: \(number) is somebody else's", remedy: "choose another number")
    }
}
