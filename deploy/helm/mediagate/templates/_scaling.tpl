{{- /* (dict "root" $ "component" "api") */ -}}
{{- define "mediagate.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "mediagate.name" .root }}-{{ .component }}
  labels:
    {{- include "mediagate.labels" . | nindent 4 }}
spec:
  {{- toYaml .root.Values.podDisruptionBudget | nindent 2 }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "mediagate.selector" . | nindent 6 }}
{{- end -}}

{{- /* By CPU: (dict "root" $ "component" "api" "scaling" values). */ -}}
{{- define "mediagate.hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "mediagate.name" .root }}-{{ .component }}
  labels:
    {{- include "mediagate.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "mediagate.name" .root }}-{{ .component }}
  minReplicas: {{ .scaling.min }}
  maxReplicas: {{ .scaling.max }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .scaling.cpu }}}
  behavior:
    {{- include "mediagate.scaleDown" . | nindent 4 }}
{{- end -}}

{{- /* A worker that goes drains first, so going is not free: wait, then one at a time. */ -}}
{{- define "mediagate.scaleDown" -}}
scaleDown:
  stabilizationWindowSeconds: 300
  policies:
    - {type: Pods, value: 1, periodSeconds: 60}
{{- end -}}

{{- /* By what waits in the task queues (https://keda.sh/docs/latest/scalers/temporal/): (dict "root" $ "component" "worker-cpu" "pool" values). */ -}}
{{- define "mediagate.scaledObject" -}}
{{- $root := .root -}}
{{- $pool := .pool -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "mediagate.name" .root }}-{{ .component }}
  labels:
    {{- include "mediagate.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "mediagate.name" .root }}-{{ .component }}
  # Never to none: the first upload would wait for a pod to start, and what runs is in no backlog.
  minReplicaCount: {{ max 1 (int $pool.autoscaling.min) }}
  maxReplicaCount: {{ $pool.autoscaling.max }}
  pollingInterval: 15
  # While the Temporal service does not answer, as many as there are at the least.
  fallback: {failureThreshold: 4, replicas: {{ max 1 (int $pool.autoscaling.min) }}, behavior: currentReplicasIfHigher}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        {{- include "mediagate.scaleDown" . | nindent 8 }}
  triggers:
    {{- range $pool.queues }}
    - type: temporal
      # Of a pool with several queues the fullest counts.
      metadata:
        endpoint: {{ $root.Values.temporal.address | quote }}
        namespace: {{ $root.Values.temporal.namespace | quote }}
        taskQueue: {{ . | quote }}
        queueTypes: {{ $pool.queueType }}
        targetQueueSize: {{ $pool.autoscaling.backlogPerReplica | quote }}
        {{- if $root.Values.workers.versioning.enabled }}
        workerDeploymentName: {{ $root.Values.workers.versioning.deployment | quote }}
        workerDeploymentBuildId: {{ include "mediagate.tag" $root | quote }}
        {{- end }}
      {{- if $root.Values.temporal.apiKeySecret.name }}
      authenticationRef:
        name: {{ include "mediagate.name" $root }}-temporal
      {{- end }}
    {{- end }}
{{- end -}}
