/** Volumes: from flags to the job, and away again. */
import { describe, expect, it } from 'vitest';
import { run } from '../test-shell.ts';
import type { Container, TaskTemplate } from './shapes.ts';
import { addMounts, addVolumes, dropMounts, type MountFlags, removeMounts, removeVolumes, type VolumeFlags } from './volume-flags.ts';

const memory = (name: string, sizeLimit?: string) => ({ name, emptyDir: { medium: 'MEMORY', ...(sizeLimit === undefined ? {} : { sizeLimit }) } });

function changed(flags: VolumeFlags & MountFlags): { task: TaskTemplate; container: Container } {
  const container: Container = {
    volumeMounts: [
      { name: 'a', mountPath: '/a' },
      { name: 'b', mountPath: '/b' },
    ],
  };
  const task: TaskTemplate = { volumes: [memory('a'), { name: 'b' }], containers: [container] };
  applyAll(task, container, flags);
  return { task, container };
}

/** In the order of `applyJobFlags`. */
function applyAll(task: TaskTemplate, container: Container, flags: VolumeFlags & MountFlags): void {
  const before = (task.volumes ?? []).map(({ name }) => name);
  removeVolumes(task, flags);
  removeMounts(container, flags);
  addVolumes(task, flags);
  addMounts(task, container, flags);
  dropMounts(task, before);
}

describe('volume flags', () => {
  it('that are not there change nothing', () => {
    const task: TaskTemplate = {};
    const container: Container = {};
    applyAll(task, container, {});
    expect({ task, container }).toEqual({ task: {}, container: {} });
    expect(changed({}).task.volumes).toEqual([memory('a'), { name: 'b' }]);
  });

  it('add; the same name or path replaces', () => {
    const { task, container } = changed({ addVolume: [memory('a', '1Gi'), memory('c')], addVolumeMount: [{ name: 'c', mountPath: '/b' }] });
    expect(task.volumes).toEqual([memory('a', '1Gi'), { name: 'b' }, memory('c')]);
    expect(container.volumeMounts).toEqual([
      { name: 'a', mountPath: '/a' },
      { name: 'c', mountPath: '/b' },
    ]);
  });

  it('remove a volume with its mounts, a mount alone, or all', () => {
    expect(changed({ removeVolume: ['a'] })).toMatchObject({ task: { volumes: [{ name: 'b' }] }, container: { volumeMounts: [{ name: 'b', mountPath: '/b' }] } });
    expect(changed({ removeVolumeMount: ['/a'] })).toMatchObject({
      task: { volumes: [{ name: 'a' }, { name: 'b' }] },
      container: { volumeMounts: [{ name: 'b', mountPath: '/b' }] },
    });
    expect(changed({ clearVolumes: true })).toMatchObject({ task: { volumes: [] }, container: { volumeMounts: [] } });
    expect(changed({ clearVolumeMounts: true })).toMatchObject({ task: { volumes: [{ name: 'a' }, { name: 'b' }] }, container: { volumeMounts: [] } });
  });

  it('keep the mounts of a volume that is replaced', () => {
    expect(changed({ removeVolume: ['a'], addVolume: [memory('a', '2Gi')] })).toMatchObject({
      task: { volumes: [{ name: 'b' }, memory('a', '2Gi')] },
      container: {
        volumeMounts: [
          { name: 'a', mountPath: '/a' },
          { name: 'b', mountPath: '/b' },
        ],
      },
    });
  });

  it('mount nothing that is not there', () => {
    expect(() => changed({ addVolumeMount: [{ name: 'z', mountPath: '/z' }] })).toThrow('There is no volume [z] to mount.');
  });

  it.each([
    ['--add-volume=name=a,type=floppy', /type=floppy is not supported\. Known: in-memory, cloud-storage, nfs, secret, cloudsql/],
    ['--add-volume=name=a,type=nfs', /of type nfs needs location=/],
    ['--add-volume=name=a,type=nfs,location=x', /is not SERVER:\/PATH/],
    ['--add-volume=name=a,type=cloud-storage', /needs one of bucket=BUCKET and dynamic-mounting=true/],
    ['--add-volume=name=a,type=cloudsql,instances=x', /is not PROJECT:REGION:INSTANCE/],
    ['--add-volume=name=a,type=secret,secret=s,version=1', /of type secret needs path=/],
    ['--add-volume=type=in-memory', /needs a name/],
    ['--add-volume=name=a,type=in-memory,readonly=true', /'readonly' is not supported\. Known: name, type, size-limit/],
    ['--add-volume-mount=volume=a', /needs both/],
  ])('%s is refused', async (flag, message) => {
    expect(await run(['run', 'jobs', 'create', 'x', '--image=a', flag])).toMatchObject({ code: 2, err: expect.stringMatching(message) });
  });
});
