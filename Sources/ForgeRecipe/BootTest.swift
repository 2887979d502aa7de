package import ForgeBase

/// A boot of an artifact in a virtual machine, and what must hold there.
package struct BootTest: Sendable, Equatable {
    /// How the machine starts.
    package enum Firmware: String, Sendable, CaseIterable {
        case bios
        case uefi
    }

    /// What is in the machine. Each string is the path of an artifact.
    package enum Medium: Sendable, Equatable {
        case iso(String)
        case disk(String)
        /// A folder that a web server shows, with `netboot.ipxe`.
        case netboot(String)
        /// Nothing: the initramfs brings all that the machine needs.
        case nothing
    }

    /// A kernel that the machine starts by itself, without a boot loader of the medium.
    package struct Kernel: Sendable, Equatable {
        /// Paths of artifacts.
        package var image: String
        package var initrd: String
        /// What the test adds to the kernel command line.
        package var commandLine: String
    }

    /// A disk beside the medium.
    package struct Disk: Sendable, Equatable {
        package enum Format: String, Sendable, CaseIterable {
            /// Nothing but zeros.
            case blank
            case ext4
        }

        /// Bytes.
        package var size: Int64
        package var format: Format
        /// Of the file system; empty for none.
        package var label: String

        package init(size: Int64, format: Format, label: String = "") {
            self.size = size
            self.format = format
            self.label = label
        }
    }

    /// What the machines join: a control plane beside them, which the test's script makes.
    package struct Cluster: Sendable, Equatable {
        /// The tree of the root file system that the control plane runs in.
        package var root: OutputReference
        /// The script: its path on this machine, and as messages show it.
        package var script: String
        package var shownScript: String
        package var environment: [Variable]
        /// How long it may take until the machines can join.
        package var seconds: Int64

        package init(
            root: OutputReference, script: String, shownScript: String, environment: [Variable], seconds: Int64
        ) {
            self.root = root
            self.script = script
            self.shownScript = shownScript
            self.environment = environment
            self.seconds = seconds
        }
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
        /// The machine starts again, with its disks, and answers.
        case reboot
        /// The bytes of a disk, by its place in the list, are those it had when the test began.
        case unchanged(disk: Int)
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
        /// Whether a command runs beside the control plane, and not in each machine.
        package var onCluster: Bool
        /// How long the check is tried again until it holds.
        package var seconds: Int64
        package var location: SourceLocation
    }

    /// The most machines that a cluster has.
    package static let mostMachines: Int64 = 9

    package var name: String
    package var medium: Medium
    /// Nil: the medium's own boot loader starts.
    package var kernel: Kernel?
    /// The test runs once with each.
    package var firmware: [Firmware]
    /// Bytes.
    package var memory: Int64
    package var cpus: Int64
    /// They live as long as the test; the guest has them as `/dev/vda`, `/dev/vdb` … in this order.
    package var disks: [Disk]
    /// Files of a NoCloud seed (`user-data`, `meta-data`, `network-config`), by name; empty for no seed.
    package var seed: [(name: String, content: String)]
    /// How long the machine may take to boot.
    package var seconds: Int64
    package var checks: [TimedCheck]
    /// Nil: the machine is alone.
    package var cluster: Cluster?
    /// How many machines are booted; 1 without a cluster.
    package var machines: Int
    package var location: SourceLocation

    package static func == (lhs: BootTest, rhs: BootTest) -> Bool {
        lhs.name == rhs.name && lhs.medium == rhs.medium && lhs.kernel == rhs.kernel && lhs.firmware == rhs.firmware
            && lhs.memory == rhs.memory && lhs.cpus == rhs.cpus && lhs.disks == rhs.disks
            && lhs.seconds == rhs.seconds && lhs.checks == rhs.checks && lhs.cluster == rhs.cluster
            && lhs.machines == rhs.machines
            && lhs.seed.elementsEqual(rhs.seed) { $0 == $1 }
    }
}
