import { HyprError } from '../../../base/errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'arm', ia32: '386' };
const ALIASES: Readonly<Record<string, string>> = { x86_64: 'amd64', 'x86-64': 'amd64', aarch64: 'arm64', i386: '386' };

/** The platform that machines of this host have. */
export const hostPlatform = (): Platform => ({ os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch, variant: '' });

/** `os/arch[/variant]`, or an architecture alone. Throws IMAGE_PLATFORM. */
export const parsePlatform = (text: string): Platform => {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw new HyprError('IMAGE_PLATFORM', `"${text}" is not a platform; one looks like linux/amd64`);
  }
  const [os = '', architecture = '', variant = ''] = parts.length === 1 && parts[0] !== 'linux' ? ['linux', ...parts] : parts;
  const host = hostPlatform();
  return { os, architecture: ALIASES[architecture] ?? (architecture || host.architecture), variant };
};

export const formatPlatform = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, variant].filter((part) => part !== '').join('/');

/** The predefined ARGs about platforms, visible to FROM and, once declared, in stages. */
export const platformArgs = (target: Platform, stage: string): Record<string, string> => {
  const build = hostPlatform();
  return {
    BUILDPLATFORM: formatPlatform(build),
    BUILDOS: build.os,
    BUILDOSVERSION: '',
    BUILDARCH: build.architecture,
    BUILDVARIANT: build.variant,
    TARGETPLATFORM: formatPlatform(target),
    TARGETOS: target.os,
    TARGETOSVERSION: '',
    TARGETARCH: target.architecture,
    TARGETVARIANT: target.variant,
    TARGETSTAGE: stage,
  };
};
