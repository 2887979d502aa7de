package import ForgeBase

/// A boot of an artifact in a virtual machine, and what must hold there.
package struct BootTest: Sendable, Equatable {
    /// How the machine starts.
    package enum Firmware: String, Sendable, CaseIterable {
        case bios
        case uefi
    }

    /// What the machine boots. Each string is the path of an artifact.
    package enum Medium: Sendable, Equatable {
        case iso(String)
        case disk(String)
        case netboot(kernel: String, initrd: String, commandLine: String)
    }

    package enum UnitState: String, Sendable, CaseIterable {
        case active
        case inactive
        case failed
    }

    /// Something that must become true.
    package enum Check: Sendable, Equatable {
        /// A systemd unit is in a state.
        case unit(String, UnitState)
        /// A shell command ends with an exit status and says something.
        case command(String, exit: Int32, output: Expectation)
        /// No systemd unit has failed, but for those named.
        case noFailedUnits(except: [String])
    }

    /// What a command must print on its standard output.
    package enum Expectation: Sendable, Equatable {
        case anything
        /// The whole output, without white space at both ends.
        case exactly(String)
        case containing(String)
    }

    package struct TimedCheck: Sendable, Equatable {
        package var check: Check
        /// How long the check is tried again until it holds.
        package var seconds: Int64
        package var location: SourceLocation
    }

    package var name: String
    package var medium: Medium
    /// The test runs once with each.
    package var firmware: [Firmware]
    /// Bytes.
    package var memory: Int64
    package var cpus: Int64
    /// Empty disks beside the medium, in bytes.
    package var disks: [Int64]
    /// Files of a NoCloud seed (`user-data`, `meta-data`, `network-config`), by name; empty for no seed.
    package var seed: [(name: String, content: String)]
    /// How long the machine may take to boot.
    package var seconds: Int64
    package var checks: [TimedCheck]
    package var location: SourceLocation

    package static func == (lhs: BootTest, rhs: BootTest) -> Bool {
        lhs.name == rhs.name && lhs.medium == rhs.medium && lhs.firmware == rhs.firmware && lhs.memory == rhs.memory
            && lhs.cpus == rhs.cpus && lhs.disks == rhs.disks && lhs.seconds == rhs.seconds && lhs.checks == rhs.checks
            && lhs.seed.elementsEqual(rhs.seed) { $0 == $1 }
    }
}

/// Reads the `tests` of a recipe.
struct BootTestReader {
    let faults: Faults
    let expander: Expander
    let artifacts: [Artifact]
    /// Whether artifacts are missing because of faults that are reported.
    let faulty: Bool

    /// The tests that the parameters choose.
    func tests(_ items: [YAMLNode]) -> [BootTest] {
        var tests: [BootTest] = []
        for item in items {
            guard let fields = Fields(item, "a test", faults) else { continue }
            guard fields.node("when").map(expander.holds) ?? true else { continue }
            guard case .mapping(let entries) = item.content else { continue }
            let rest = YAMLNode(.mapping(entries.filter { $0.key != "when" }), at: item.location)
            guard let expanded = expander.expand(rest), let test = test(expanded) else { continue }
            if let other = tests.first(where: { $0.name == test.name }) {
                faults.add("test “\(test.name)” is already given in line \(other.location.line)", at: test.location)
            }
            tests.append(test)
        }
        return tests
    }

    private func test(_ node: YAMLNode) -> BootTest? {
        guard let fields = Fields(node, "the test", faults) else { return nil }
        let name = fields.string("name", required: true) ?? ""
        if !name.isEmpty, !TextFormat.name.accepts(name) {
            faults.add("“name” of the test must be \(TextFormat.name.summary)", at: fields.location)
        }
        let medium = medium(fields)
        let test = BootTest(
            name: name, medium: medium ?? .iso(""), firmware: firmware(fields),
            memory: fields.size("memory") ?? 2 << 30,
            cpus: fields.int("cpus", 1...64) ?? 2, disks: disks(fields), seed: seed(fields),
            seconds: fields.int("timeout", 1...86_400) ?? 300, checks: fields.list("checks").compactMap(check),
            location: node.location)
        fields.finish()
        return medium == nil ? nil : test
    }

    private func firmware(_ fields: Fields) -> [BootTest.Firmware] {
        guard fields.node("firmware") != nil else { return [.bios] }
        let words = BootTest.Firmware.allCases.map(\.rawValue)
        return fields.list("firmware").compactMap { node in
            fields.word(node, "“firmware” of the test", of: words).flatMap(BootTest.Firmware.init(rawValue:))
        }
    }

    private func medium(_ fields: Fields) -> BootTest.Medium? {
        let iso = fields.node("iso")
        let disk = fields.node("disk")
        let netboot = fields.node("netboot")
        guard [iso, disk, netboot].compactMap({ $0 }).count == 1 else {
            faults.add("the test must have one of “iso”, “disk” and “netboot”", at: fields.location)
            return nil
        }
        if let iso { return artifact(iso, fields).map { .iso($0) } }
        if let disk { return artifact(disk, fields).map { .disk($0) } }
        guard let netboot, let nested = Fields(netboot, "“netboot” of the test", faults) else { return nil }
        let kernel = nested.required("kernel").flatMap { artifact($0, nested) }
        let initrd = nested.required("initrd").flatMap { artifact($0, nested) }
        let commandLine = nested.string("command-line") ?? ""
        nested.finish()
        guard let kernel, let initrd else { return nil }
        return .netboot(kernel: kernel, initrd: initrd, commandLine: commandLine)
    }

    /// The path of an artifact that is a file.
    private func artifact(_ node: YAMLNode, _ fields: Fields) -> String? {
        guard let path = fields.text(node, "an artifact of \(fields.what)") else { return nil }
        let files = artifacts.filter { $0.kind == .file }.map(\.path)
        if files.contains(path) { return path }
        guard !faulty else { return nil }
        let hint = Suggestion.hint(for: path, in: files)
        faults.add(
            "\(fields.what): the recipe publishes no file “\(path)”\(hint)", at: node.location,
            remedy: files.isEmpty ? nil : "files: \(files.joined(separator: ", "))")
        return nil
    }

    private func disks(_ fields: Fields) -> [Int64] {
        fields.list("disks").compactMap { node in
            if case .string(let text) = node.content, let size = ByteSize.parse(text) { return size }
            faults.add("a disk of the test must be a size such as 8G, not \(node.kindName)", at: node.location)
            return nil
        }
    }

    private func seed(_ fields: Fields) -> [(name: String, content: String)] {
        guard let node = fields.node("seed"), let nested = Fields(node, "“seed” of the test", faults) else { return [] }
        let files = ["user-data", "meta-data", "network-config"].compactMap { name in
            nested.string(name).map { (name: name, content: $0) }
        }
        nested.finish()
        return files
    }

    private func check(_ node: YAMLNode) -> BootTest.TimedCheck? {
        guard let fields = Fields(node, "a check", faults) else { return nil }
        let unit = fields.string("unit")
        let command = fields.string("command")
        let noFailedUnits = fields.node("no-failed-units")
        let seconds = fields.int("timeout", 1...86_400) ?? 60
        let check: BootTest.Check
        switch (unit, command, noFailedUnits) {
        case (let unit?, nil, nil):
            let state = fields.word("state", of: BootTest.UnitState.allCases.map(\.rawValue))
            check = .unit(unit, state.flatMap(BootTest.UnitState.init(rawValue:)) ?? .active)
        case (nil, let command?, nil):
            let exit = Int32(fields.int("exit", 0...255) ?? 0)
            check = .command(command, exit: exit, output: expectation(fields))
        case (nil, nil, let node?):
            if node.content != .bool(true) {
                faults.add("“no-failed-units” can only be true", at: node.location, remedy: "leave the check out")
            }
            check = .noFailedUnits(except: fields.strings("except"))
        default:
            faults.add("a check must have one of “unit”, “command” and “no-failed-units”", at: fields.location)
            return nil
        }
        fields.finish()
        return BootTest.TimedCheck(check: check, seconds: seconds, location: fields.location)
    }

    private func expectation(_ fields: Fields) -> BootTest.Expectation {
        let exactly = fields.string("output")
        let containing = fields.string("contains")
        switch (exactly, containing) {
        case (let text?, nil): return .exactly(text)
        case (nil, let text?): return .containing(text)
        case (nil, nil): return .anything
        case (_?, _?):
            faults.add("a check has “output” or “contains”, not both", at: fields.location)
            return .anything
        }
    }
}
