{{- /* What is the same for every pod: (dict "root" $ "component" "api"). */ -}}
{{- define "mediagate.podSpec" -}}
serviceAccountName: {{ include "mediagate.name" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ include "mediagate.termination" . }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- range .root.Values.spread.topologyKeys }}
  - maxSkew: {{ $.root.Values.spread.maxSkew }}
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "mediagate.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{ include "mediagate.podSecurity" . }}
{{- end -}}

{{- define "mediagate.termination" -}}
{{- $drain := 0 -}}
{{- if eq .component "api" -}}{{- $drain = .root.Values.api.drainSeconds -}}{{- end -}}
{{- add .root.Values.shutdownGrace .root.Values.terminationMargin $drain -}}
{{- end -}}

{{- define "mediagate.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "mediagate.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  privileged: false
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "mediagate.containerImage" -}}
image: {{ include "mediagate.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- end -}}

{{- define "mediagate.mounts" -}}
- {name: secrets, mountPath: /run/secrets/mediagate, readOnly: true}
- {name: tmp, mountPath: /tmp}
- {name: state, mountPath: /var/lib/mediagate}
{{- end -}}

{{- /* (dict "root" $ "tmp" "512Mi"); the state folder holds nothing that outlives a pod. */ -}}
{{- define "mediagate.volumes" -}}
- name: secrets
  secret:
    secretName: {{ include "mediagate.secretName" .root }}
    defaultMode: 0440
- name: tmp
  emptyDir: {sizeLimit: {{ .tmp }}}
- name: state
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}

{{- define "mediagate.podAnnotations" -}}
checksum/config: {{ include "mediagate.config" . | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}
