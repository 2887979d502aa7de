import ForgeBase
import ForgeRecipe
import ForgeSystem

/// Says of a failed script which file, program or address it missed because nothing declares it, and how to declare it.
///
/// Only what is sure is said: a path must exist outside of the sandbox.
struct Undeclared {
    let recipe: Recipe
    let stage: StageInstance
    /// The project's folder.
    let root: String
    /// A path as messages show it.
    let shown: (String) -> String
    /// The file that describes the stage's build root, if it is found.
    let buildRoot: String?

    struct Advice: Equatable {
        var details: [String]
        var remedy: String
    }

    /// What the last lines of the log show to be missing; nil if they show nothing that is sure.
    func advice(log: String) -> Advice? {
        LogClue.find(in: log).lazy.compactMap { clue in
            switch clue {
            case .program(let name): program(name)
            case .network(let address): network(address)
            case .path(let candidates): candidates.lazy.compactMap(path).first
            }
        }.first ?? interpreter(log)
    }

    /// The script could not even be started: the program of its first line is missing.
    private func interpreter(_ log: String) -> Advice? {
        guard let last = log.split(separator: "\n").last(where: { $0.contains("/stage/run") }),
            last.contains("No such file or directory"),
            let script = try? Files.read(stage.definition.folder + "/run"), script.starts(with: "#!".utf8)
        else { return nil }
        let line = String(decoding: script.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        guard let path = line.split(separator: " ").first else { return nil }
        return program(Files.name(of: String(path)))
    }

    // MARK: Network

    private func network(_ address: String?) -> Advice {
        let url = address.map { $0.hasPrefix("http") ? $0 : "https://\($0)/…" } ?? "https://…"
        return Advice(
            details: [
                "scripts have no network\(address.map { ": \($0) can't be reached from the sandbox" } ?? "")"
            ] + declare(name(of: url), kind: "file", value: "{url: \"\(url)\", sha256: …}"),
            remedy: "declare what it downloads as an input; `forge hash \(url)` prints its sha256")
    }

    // MARK: Programs

    private func program(_ name: String) -> Advice {
        let package = DebianPrograms.package(of: name)
        let place = buildRoot.map(shown) ?? "the build root's file"
        let root = stage.definition.buildRoot ?? ""
        return Advice(
            details: ["“\(name)” is not in the sandbox: build root “\(root)” has no such program"]
                + (package.map { ["Debian's package \($0) has it"] } ?? []),
            remedy: "add "
                + (package
                    ?? "the package that has it (packages.debian.org, “Search the contents of packages”: bin/\(name))")
                + " to the packages in \(place), then run `forge lock \(recipe.name)`")
    }

    // MARK: Paths

    private func path(_ text: String) -> Advice? {
        if text.hasPrefix("/in/") { return input(text) }
        if text.hasPrefix("/") { return absolute(text) }
        // Relative to where the script was, or to where its author thinks it is.
        for base in [recipe.directory, stage.definition.folder, root] {
            if let found = Files.absolute(base + "/" + text) { return missing(found, as: text) }
        }
        return nil
    }

    /// `/in/<name>` that is not there.
    private func input(_ text: String) -> Advice? {
        let name = text.dropFirst("/in/".count).prefix { $0 != "/" }
        guard !name.isEmpty else { return nil }
        let file = shown(stage.definition.folder + "/stage.yaml")
        guard let input = stage.definition.input(String(name)) else {
            if stage.definition.options.contains(where: { $0.name == name }) { return nil }
            return Advice(
                details: [
                    "/in/\(name) is not in the sandbox: stage “\(stage.definition.name)” declares no input “\(name)”"
                ],
                remedy: "declare it in \(file) (inputs: {\(name): {kind: file}}) and give it in \(recipe.file)")
        }
        guard input.optional, !stage.inputs.contains(where: { $0.name == name }) else { return nil }
        return Advice(
            details: ["/in/\(name) is not in the sandbox: the input is optional, and the recipe does not give it"],
            remedy: "give it at \(stage.location), or let the script do without: [ -e /in/\(name) ]")
    }

    private func absolute(_ text: String) -> Advice? {
        for place in ["/out", "/forge", "/proc", "/dev", "/sys"] where isBelow(text, place) {
            return nil
        }
        if isBelow(text, "/work") { return path(String(text.dropFirst("/work/".count))) }
        if isBelow(text, "/stage") {
            let relative = String(text.dropFirst("/stage/".count))
            guard !relative.isEmpty, let found = Files.absolute(stage.definition.folder + "/" + relative) else {
                return nil
            }
            return missing(found, as: text)
        }
        guard let found = Files.absolute(text), found != "/" else { return nil }
        for place in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc", "/opt"] where isBelow(found, place) {
            guard let package = DebianPrograms.package(ofAny: [text, found]) else {
                break
            }
            return Advice(
                details: ["\(text) is not in the sandbox: build root “\(stage.definition.buildRoot ?? "")” lacks it"],
                remedy:
                    "add \(package), which has it, to the packages in \(buildRoot.map(shown) ?? "the build root's file"), "
                    + "then run `forge lock \(recipe.name)`")
        }
        return missing(found, as: text)
    }

    /// A file of this machine that the script can't see.
    private func missing(_ found: String, as text: String) -> Advice? {
        let directory = Files.absolute(recipe.directory) ?? recipe.directory
        let kind = Files.isDirectory(found) ? "tree" : "file"
        let name = name(of: found)
        if found == directory || isBelow(directory, found) {
            return Advice(
                details: ["\(text) is not in the sandbox: a script sees only what its stage declares"],
                remedy: "declare the files that it needs as an input: {path: …} or {glob: …}")
        }
        if isBelow(found, directory) {
            let relative = String(found.dropFirst(directory.count + 1))
            return Advice(
                details: [
                    "\(text) is not in the sandbox: it is a \(kind == "tree" ? "folder" : "file") of the recipe that the stage "
                        + "does not declare"
                ] + declare(name, kind: kind, value: "{path: \(relative)}"),
                remedy: "declare it as an input, as above")
        }
        return Advice(
            details: [
                "\(text) is not in the sandbox: nothing of this machine is, but what the stage declares",
                "copy it below \(shown(recipe.directory))/ first",
            ] + declare(name, kind: kind, value: "{path: \(Files.name(of: found))}"),
            remedy: "declare it as an input, as above")
    }

    private func isBelow(_ path: String, _ directory: String) -> Bool {
        path.utf8.starts(with: (directory + "/").utf8)
    }

    /// The lines of YAML that make something an input.
    private func declare(_ name: String, kind: String, value: String) -> [String] {
        [
            "in \(shown(stage.definition.folder + "/stage.yaml")):  inputs: {\(name): {kind: \(kind)}}",
            "in \(recipe.file), stage “\(stage.id)”:  inputs: {\(name): \(value)}",
            "in its script:  /in/\(name)",
        ]
    }

    /// A name for an input, after a file or URL.
    private func name(of path: String) -> String {
        let last = Files.name(of: path).prefix { $0 != "." && $0 != "?" }.lowercased()
        let plain = String(last.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }.drop { $0 == "-" })
        let base = plain.isEmpty ? "source" : plain
        let taken = stage.definition.inputs.map(\.name) + stage.definition.options.map(\.name)
        return taken.contains(base) ? base + "-file" : base
    }
}

/// Which Debian package has a program: as this host's dpkg knows, or as is well known.
enum DebianPrograms {
    static func package(of program: String) -> String? {
        wellKnown[program] ?? package(ofAny: ["/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/"].map { $0 + program })
    }

    /// The package of the first of these files that dpkg knows.
    static func package(ofAny paths: [String]) -> String? {
        guard let program = Host.findProgram("dpkg-query"),
            let found = try? Command(program, ["-S"] + paths, errors: .null).run(timeoutSeconds: 10).output
        else { return nil }
        // `dpkg-dev, binutils:amd64: /usr/bin/x`, one line for each path that is known.
        let lines = String(decoding: found, as: UTF8.self).split(separator: "\n")
        let owned = paths.lazy.compactMap { path in lines.first { $0.hasSuffix(": " + path) } }.first
        return owned.map { String($0.prefix { $0 != ":" && $0 != "," }) }
    }

    /// Where the package is called otherwise than the program, or the program comes by an alternative.
    private static let wellKnown = [
        "ar": "binutils", "as": "binutils", "ld": "binutils", "objcopy": "binutils", "strip": "binutils",
        "awk": "mawk", "cc": "gcc", "c++": "g++", "envsubst": "gettext-base", "fakeroot": "fakeroot",
        "find": "findutils",
        "go": "golang-go", "gpg": "gnupg", "ip": "iproute2", "mcopy": "mtools", "mkfs.ext4": "e2fsprogs",
        "mkfs.vfat": "dosfstools", "mksquashfs": "squashfs-tools", "msgfmt": "gettext", "ninja": "ninja-build",
        "node": "nodejs", "pip3": "python3-pip", "ps": "procps", "python3": "python3", "qemu-img": "qemu-utils",
        "sfdisk": "fdisk", "sgdisk": "gdisk", "ssh": "openssh-client", "unsquashfs": "squashfs-tools", "vi": "vim-tiny",
        "xargs": "findutils", "xz": "xz-utils", "gcc": "gcc", "make": "make", "curl": "curl", "git": "git", "jq": "jq",
        "cpio": "cpio", "unzip": "unzip", "zip": "zip", "zstd": "zstd", "file": "file", "bc": "bc", "cmake": "cmake",
    ]
}
