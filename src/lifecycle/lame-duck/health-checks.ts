import type net from 'node:net';
import { transportSocket } from '../../connection/tls/sockets.ts';

/** The User-Agents of probers: the kubelet, Amazon's and Google's load balancers. */
const PROBERS = /^(?:kube-probe|ELB-HealthChecker|GoogleHC)\//;

const checks = new WeakSet<net.Socket>();

/** The connection is a health check's: the service does not wait for it. */
export function noteHealthCheck(socket: net.Socket): void {
  checks.add(transportSocket(socket));
}

export function isHealthCheck(transport: net.Socket): boolean {
  return checks.has(transport);
}

export function isProber(userAgent: string | undefined): boolean {
  return userAgent !== undefined && PROBERS.test(userAgent);
}
