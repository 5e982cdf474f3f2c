/**
 * A program that does nothing, for the sandbox: the container that holds the network namespace which the containers of one attempt share.
 * Made here, byte by byte, so that no registry is needed: a static ELF of some 140 bytes for amd64 and arm64.
 */
import { Readable } from 'node:stream';
import type Dockerode from 'dockerode';
import { pack } from 'tar-stream';

export const PAUSE_IMAGE = 'actas-pause:1';

const HEADER_BYTES = 64;
const SEGMENT_BYTES = 56;
const BASE_ADDRESS = 0x400000;

const MACHINES = {
  amd64: {
    // EM_X86_64
    machine: 62,
    // mov eax, 34 (pause); syscall; jmp to the start, 9 bytes back
    code: [0xb8, 0x22, 0x00, 0x00, 0x00, 0x0f, 0x05, 0xeb, 0xf7],
  },
  arm64: {
    // EM_AARCH64, which has no pause(2): ppoll of nothing, without end
    machine: 183,
    code: words([
      0xd2800000, // mov x0, #0      no descriptors
      0xd2800001, // mov x1, #0      none of them
      0xd2800002, // mov x2, #0      no timeout
      0xd2800003, // mov x3, #0      no signal mask
      0xd2800928, // mov x8, #73     ppoll
      0xd4000001, // svc #0
      0x17fffffa, // b to the start, 6 instructions back
    ]),
  },
} as const;

function words(instructions: readonly number[]): number[] {
  return instructions.flatMap((word) => [word & 0xff, (word >>> 8) & 0xff, (word >>> 16) & 0xff, word >>> 24]);
}

/** The program as an ELF file. @throws Error where the architecture is neither amd64 nor arm64 */
export function pauseProgram(architecture: string): Buffer {
  const target = architecture === 'amd64' || architecture === 'arm64' ? MACHINES[architecture] : undefined;
  if (target === undefined) throw new Error(`Attempts of several containers need a sandbox program, which actas has for amd64 and arm64, not for ${architecture}.`);
  const size = HEADER_BYTES + SEGMENT_BYTES + target.code.length;
  const elf = Buffer.alloc(size);
  // ELF header: magic, 64 bit, little endian, version 1, System V
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]).copy(elf);
  elf.writeUInt16LE(2, 16); // e_type: executable
  elf.writeUInt16LE(target.machine, 18);
  elf.writeUInt32LE(1, 20); // e_version
  elf.writeBigUInt64LE(BigInt(BASE_ADDRESS + HEADER_BYTES + SEGMENT_BYTES), 24); // e_entry
  elf.writeBigUInt64LE(BigInt(HEADER_BYTES), 32); // e_phoff
  elf.writeUInt16LE(HEADER_BYTES, 52); // e_ehsize
  elf.writeUInt16LE(SEGMENT_BYTES, 54); // e_phentsize
  elf.writeUInt16LE(1, 56); // e_phnum
  // The one segment: the whole file, readable and executable
  elf.writeUInt32LE(1, 64); // p_type: load
  elf.writeUInt32LE(5, 68); // p_flags: read, execute
  elf.writeBigUInt64LE(BigInt(BASE_ADDRESS), 80); // p_vaddr
  elf.writeBigUInt64LE(BigInt(BASE_ADDRESS), 88); // p_paddr
  elf.writeBigUInt64LE(BigInt(size), 96); // p_filesz
  elf.writeBigUInt64LE(BigInt(size), 104); // p_memsz
  elf.writeBigUInt64LE(0x10000n, 112); // p_align: fits pages of 4, 16 and 64 KiB
  Buffer.from(target.code).copy(elf, HEADER_BYTES + SEGMENT_BYTES);
  return elf;
}

/** Makes the image unless the engine has it. @param architecture as the engine calls it: `x86_64`, `aarch64` */
export async function ensurePauseImage(docker: Dockerode, architecture: string): Promise<void> {
  const known = await docker
    .getImage(PAUSE_IMAGE)
    .inspect()
    .then(
      () => true,
      () => false,
    );
  if (known) return;
  const elf = pauseProgram(architecture === 'x86_64' ? 'amd64' : architecture === 'aarch64' ? 'arm64' : architecture);
  const tar = pack();
  tar.entry({ name: 'pause', mode: 0o755 }, elf);
  tar.finalize();
  // The tag is part of `repo`: Podman overlooks the parameter of its own that Docker has for it.
  const answer = await docker.importImage(Readable.from(tar), { repo: PAUSE_IMAGE, changes: ['ENTRYPOINT ["/pause"]'] });
  let text = '';
  for await (const chunk of answer) text += chunk;
  if (text.includes('"error"')) throw new Error(`The sandbox image cannot be imported: ${text.trim()}`);
}
